/**
 * Which numbers make sense for a flag. One that would leave the proxy running and serving nobody is refused with a
 * line; zero stays where it switches something off.
 */
import { ValueError, type ValueType } from './values.ts';

/** What a number may be: milliseconds, bytes, or a count. */
export interface Limits {
  readonly least: number;
  readonly most?: number;
  /** Zero stands for the default, as in gRPC for Go. */
  readonly zeroIsDefault?: true;
}

/** A header of etcd's takes 42 bytes at most, and every reply has one. */
const SMALLEST_MESSAGE = 64;

/** Zero has a meaning of its own. */
export const ANY: Limits = { least: 0 };
/** One and more. */
export const SOME: Limits = { least: 1 };
/** The size of a message that etcd could send. */
export const MESSAGE: Limits = { least: SMALLEST_MESSAGE };
/** A time between pings, as gRPC for Go reads it. */
export const GO_KEEPALIVE: Limits = { least: 1, zeroIsDefault: true };

/**
 * The number that holds for a flag.
 * @param otherwise reads the flag's default
 * @throws ValueError for one that makes no sense
 */
export function withinLimits(
  limits: Limits,
  type: ValueType,
  value: number,
  otherwise: () => number,
): number {
  const { least, most = Number.MAX_SAFE_INTEGER, zeroIsDefault } = limits;
  if (value === 0 && zeroIsDefault) return otherwise();
  const unit = type === 'duration' ? 'ms' : '';
  if (type === 'duration' && value > 0 && value < 1) throw new ValueError('want at least 1ms');
  if (value < least) throw new ValueError(`want at least ${least}${unit}`);
  if (value > most) throw new ValueError(`want at most ${most}${unit}`);
  return value;
}
