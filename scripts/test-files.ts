/** Which test files run beside which, in what order, and which are quick. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, normalize } from 'node:path';

/** What the machine bears, in parts of it. */
export const WIDTH = 12;

/** Files side by side on one core: most of them wait, for etcd and for time to pass, and take a quarter of it. */
const FILES_PER_CORE = 3;

/**
 * These measure pauses, hold to a rate, or keep both cores busy for long: they have the machine for themselves.
 */
const ALONE: readonly string[] = [
  'long/attacks',
  'long/huge',
  'long/leases',
  'streams/back-pressure',
  'streams/impatient',
  'streams/shared-connection',
  'watch/stopped',
];

/**
 * These keep one core busy, or hold the proxy to a time of a few seconds: four at a time. Those that measure the memory
 * of a process of their own are among them: that is the same, whatever runs beside it.
 */
const QUARTER: readonly string[] = [
  'bounds/kept',
  'cache/schedules',
  'clients/etcdctl',
  'clients/nghttp2-tools',
  'differential/calls',
  'differential/load',
  'differential/streams',
  'failing/',
  'failover/failover',
  'grpc/unpacking-memory',
  'http2/attacks-memory',
  'http2/honest',
  'http2/peer-tools',
  'http2/soak',
  'lease/follower',
  'mirror/differential',
  'mirror/long-reads-served',
  'mirror/schedules',
  'mvcc/work',
  'namespace/differential',
  'observe/sink',
  'reads/joining-rule',
  'reads/under-fire',
  'streams/many-streams',
  'streams/request-memory',
  'streams/request-memory-web',
  'streams/slow-readers',
  'upstream/choice',
  'upstream/closed-often',
  'upstream/edges',
  'watch/faults',
  'watch/lifetimes',
  'watch/model',
  'watch/scale',
  'web/large-reply',
  'web/large-request',
];

/** The longest ones begin first, so that none of them is left over at the end; seconds on two cores. */
const LONG: Readonly<Record<string, number>> = {
  'watch/model': 90,
  'v2/seeds': 40,
  'differential/calls': 90,
  'mirror/identity': 80,
  'mirror/lifecycle': 75,
  'clients/etcdctl': 70,
  'failing/hangs': 70,
  'failing/no-quorum': 70,
  'differential/streams': 60,
  'namespace/differential': 60,
  'differential/quorum': 60,
  'tls/differential': 60,
  'watch/large': 60,
  'differential/time': 50,
  'watch/incumbent': 50,
  'streams/request-memory': 48,
  'endpoints/discovery': 43,
  'endpoints/members': 40,
  'failover/pings': 48,
  'failing/order': 45,
  'differential/load': 40,
  'cache/permissions': 40,
  'cluster/circles': 34,
  'tls/clientv3': 40,
  'watch/revoked': 40,
  'differential/same-store': 40,
  'watch/rides': 40,
  'failover/goaway': 40,
  'upstream/edges': 32,
  'upstream/choice': 32,
  'failing/defragments': 30,
  'failing/stalls': 30,
  'failing/leaves': 30,
  'failing/cut-off': 30,
  'web/etcd-pages': 30,
  'streams/many-streams': 30,
  'streams/request-memory-web': 30,
  'watch/compaction': 30,
  'reads/incumbent-defects': 30,
  'streams/shared-replies': 30,
  'web/fuzz': 30,
  'clients/grpcio': 30,
  'watch/limits': 30,
  'web/large-request': 20,
};

const nameOf = (file: string): string => file.replace(/^test\//, '').replace(/\.test\.ts$/, '');
const isOf = (list: readonly string[], file: string): boolean =>
  list.some((entry) => (entry.endsWith('/') ? nameOf(file).startsWith(entry) : nameOf(file) === entry));

/** How much of the machine a file takes. */
export function weightOf(file: string): number {
  if (isOf(ALONE, file)) return WIDTH;
  return isOf(QUARTER, file) ? WIDTH / 4 : WIDTH / (FILES_PER_CORE * availableParallelism());
}

/** Side by side first, the longest of them at the head; then four at a time; then those that are alone. */
export function order(files: readonly string[]): string[] {
  const long = (file: string): number => LONG[nameOf(file)] ?? 0;
  return files.toSorted((a, b) => weightOf(a) - weightOf(b) || long(b) - long(a));
}

/** Names on the lists that are no files. */
export function strangers(files: readonly string[]): string[] {
  const names = files.map(nameOf);
  const entries = [...ALONE, ...QUARTER, ...Object.keys(LONG), ...QUICK_WITH_ETCD];
  return entries.filter(
    (entry) => !names.some((name) => name === entry || (entry.endsWith('/') && name.startsWith(entry))),
  );
}

/** These need one etcd, and little time; those that need none are found by what they import. */
const QUICK_WITH_ETCD: readonly string[] = [
  'bounds/tables',
  'cache/told',
  'failover/goaway',
  'grpc/as-etcd',
  'mirror/waiting',
  'observe/every-series',
  'reads/sharing',
  'streams/drain',
  'watch/metrics',
  'watch/protocols',
  'web/unary',
];

/** What starts an etcd, or takes long although it does not. */
const ETCD = normalize('test/support/etcd.ts');
/** What lets a suite do a part of all. */
const PARTS = normalize('test/support/releases.ts');
const NOT_QUICK: readonly string[] = [
  'clients/h2spec',
  'differential/foreign',
  'differential/self',
  'http2/h2spec',
  'http2/peer-go',
  'readme',
  'support/etcd-install',
];

/** Those that need no more than one etcd, and are soon done. */
export function quickFiles(files: readonly string[]): string[] {
  const without = (file: string): boolean =>
    !isOf([...ALONE, ...QUARTER, ...NOT_QUICK], file) && !reaches(file, ETCD);
  return files.filter((file) => isOf(QUICK_WITH_ETCD, file) || without(file));
}

/** Those that `npm test` runs in a short form. */
export const longFiles = (files: readonly string[]): string[] =>
  files.filter((file) => isOf(['failing/', 'long/'], file) || reaches(file, PARTS));

/** Whether a file imports another one, itself or through others. */
function reaches(file: string, target: string, seen = new Set<string>()): boolean {
  if (file === target) return true;
  if (seen.has(file)) return false;
  seen.add(file);
  const text = readFileSync(file, 'utf8');
  const targets = [...text.matchAll(/^(?:import|export|\}).*? from '(\.[^']+\.ts)';/gm)].map(
    ([, path]) => path as string,
  );
  return targets.some((path) => reaches(normalize(join(dirname(file), path)), target, seen));
}
