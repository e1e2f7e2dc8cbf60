/**
 * Which numbers make sense for a flag. One that would leave the proxy running and serving nobody is refused with a
 * line; zero stays where it switches something off.
 */
import { ValueError, type ValueType } from './values.ts';

/** What a number may be: milliseconds, bytes, or a count. */
interface Limits {
  readonly least: number;
  readonly most?: number;
  /** Zero stands for the default, as in gRPC for Go. */
  readonly zeroIsDefault?: true;
}

/** A header of etcd's takes 42 bytes at most, and every reply has one. */
const SMALLEST_MESSAGE = 64;

const ANY: Limits = { least: 0 };
const SOME: Limits = { least: 1 };
const MESSAGE: Limits = { least: SMALLEST_MESSAGE };
const GO_KEEPALIVE: Limits = { least: 1, zeroIsDefault: true };

/** By the flag's name; every flag that is a number has an entry. */
export const LIMITS: Readonly<Record<string, Limits>> = {
  'dial-timeout': SOME,
  'dial-keepalive-time': ANY,
  'dial-keepalive-timeout': GO_KEEPALIVE,
  'endpoints-auto-sync-interval': ANY,
  'watch-linger': ANY,
  'max-read-flights': ANY,
  'cache-bytes': ANY,
  'cache-max-feeds': ANY,
  'cache-prefix-bytes': SOME,
  'cache-wait': ANY,
  'cache-max-fallbacks': SOME,
  'max-send-bytes': MESSAGE,
  'max-recv-bytes': MESSAGE,
  // SETTINGS_MAX_CONCURRENT_STREAMS has 32 bits.
  'max-concurrent-streams': { least: 1, most: 0xffffffff },
  // With less, a value of the size that etcd takes by default could never be read.
  'max-queued-bytes': { least: 2 << 20 },
  'max-resets-per-second': ANY,
  'max-control-frames-per-second': ANY,
  'client-write-timeout': ANY,
  'max-metadata-bytes': { least: 4 << 10 },
  'max-request-bytes-in-flight': { least: 1 << 20 },
  'max-waiting-calls': ANY,
  'first-byte-timeout': SOME,
  'grpc-keepalive-min-time': ANY,
  'grpc-keepalive-interval': GO_KEEPALIVE,
  'grpc-keepalive-timeout': GO_KEEPALIVE,
  'watch-history-bytes': ANY,
  'watch-history-revisions': SOME,
  'tls-handshake-timeout': SOME,
  // Zero is refused where it is used. Dates of certificates have years of four digits.
  'self-signed-cert-validity': { least: 0, most: 1000 },
  'resolver-ttl': ANY,
};

/** The types whose values are numbers. */
export const NUMBERS: ReadonlySet<ValueType> = new Set(['integer', 'bytes', 'duration']);

/**
 * The number that holds for a flag.
 * @param otherwise reads the flag's default
 * @throws ValueError for one that makes no sense
 */
export function withinLimits(flag: string, type: ValueType, value: number, otherwise: () => number): number {
  const { least, most = Number.MAX_SAFE_INTEGER, zeroIsDefault } = LIMITS[flag] ?? ANY;
  if (value === 0 && zeroIsDefault) return otherwise();
  const unit = type === 'duration' ? 'ms' : '';
  if (type === 'duration' && value > 0 && value < 1) throw new ValueError('want at least 1ms');
  if (value < least) throw new ValueError(`want at least ${least}${unit}`);
  if (value > most) throw new ValueError(`want at most ${most}${unit}`);
  return value;
}
