/**
 * The one table of flags, by group: parsing, types, limits, the environment, `--help` and `docs/flags.md` all come
 * from it. Names and defaults of `etcd grpc-proxy start` are kept, so that its scripts and manifests work unchanged.
 */
import { CLIENT_FLAGS } from './client-flags.ts';
import { ENDPOINT_FLAGS } from './endpoint-flags.ts';
import { flag, number, type Row } from './flag.ts';
import { ANY, GO_KEEPALIVE, MESSAGE, SOME } from './limits.ts';
import { READ_FLAGS } from './read-flags.ts';
import { REGISTRATION_FLAGS } from './registration-flags.ts';
import { TLS_FLAGS } from './tls-flags.ts';
import { V2_FLAGS } from './v2-flags.ts';

const SERVING = {
  'listen-addr': flag('address', '127.0.0.1:23790', 'address to serve on: host:port, or unix:///path'),
  'cors-allowed-origins': flag(
    'list',
    '',
    'browser origins that may call from other sites (comma separated, * for any); empty: same origin only',
  ),
  'host-whitelist': flag(
    'list',
    '',
    'host names beside its own by which pages in browsers reach this proxy (comma separated, * for any); addresses and localhost always do',
  ),
  namespace: flag(
    'string',
    '',
    'prefix put in front of every key; clients see the keys behind it, without it',
  ),
  'listen-namespace': flag(
    'namespaces',
    '',
    'further addresses to serve on, each within a namespace of its own: ADDR=prefix/ (comma separated or repeated)',
  ),
  'namespace-isolation': flag(
    'isolation',
    'keys',
    'what clients within a namespace are kept from: keys (those of elsewhere, as etcd does) or strict (also leases of elsewhere and all that concerns the whole cluster)',
  ),
  'data-dir': flag(
    'string',
    'default.proxy',
    'folder for generated certificates, and for the last good list of members that were asked at their peer ports',
  ),
};

const UPSTREAM = {
  'user-file': flag(
    'string',
    '',
    "file with name:password of the user that the proxy itself is to etcd while etcd's auth is on",
  ),
  'dial-timeout': number('duration', '2s', SOME, 'time for one connection attempt to an endpoint'),
  'dial-keepalive-time': number(
    'duration',
    '10s',
    ANY,
    'ping etcd after this long without an answer while calls are open, so that a hung endpoint is left; at least 10s; 0s: never',
  ),
  'dial-keepalive-timeout': number(
    'duration',
    '20s',
    GO_KEEPALIVE,
    'close the connection when a ping is not answered in this time; 0s: 20s',
  ),
  'permit-without-stream': flag(
    'boolean',
    'false',
    'ping etcd also while no call is open; a stream of health checks is then held open',
  ),
  'endpoint-pick': flag(
    'pick',
    'random',
    'which of the endpoints that serve is used: random, or nearest (the one that answers soonest)',
  ),
  'endpoints-shuffle-interval': number(
    'duration',
    '0s',
    ANY,
    'choose anew among the endpoints about this often, so that many proxies spread themselves; 0s: never',
  ),
  'max-recv-bytes': number('bytes', '2147483647', MESSAGE, 'largest message accepted from etcd'),
  'max-etcd-connections': number(
    'integer',
    '8',
    SOME,
    'connections to the endpoint in use for calls of one kind (watches; heartbeats; locks and campaigns; streams of replies; all others), opened when those before are at its limit of streams',
  ),
  'max-waiting-calls': number(
    'integer',
    '10000',
    ANY,
    'calls that may wait for a connection to etcd; one more fails with UNAVAILABLE',
  ),
};

const WATCHES = {
  'watch-coalescing': flag('switch', 'on', 'watches of clients share watches on etcd'),
  'watch-linger': number('duration', '5s', ANY, 'keep watching a range for this long when unused'),
  'watch-reauthorize': number(
    'duration',
    '10s',
    ANY,
    'ask etcd this often whether clients may go on with watches that are shared by others than who shows the same token; 0s: only when a watch on etcd was lost',
  ),
  'watch-history-bytes': number('bytes', '67108864', ANY, 'memory for events of all watches'),
  'watch-history-revisions': number('integer', '10000', SOME, 'revisions remembered of one range'),
  'watch-fragment-bytes': number(
    'bytes',
    '2097152',
    { least: 1024 },
    'from this size on responses are cut for watches that allow fragments; etcd cuts at its --max-request-bytes and 512 KiB more',
  ),
};

const OBSERVABILITY = {
  'metrics-addr': flag(
    'listeners',
    '',
    'further addresses for /metrics and /health: http://host:port, or https:// with the certificates of the clients side (comma separated or repeated)',
  ),
  'enable-pprof': flag('boolean', 'false', 'serve profiles', 'ignored'),
  'log-level': flag('level', 'info', 'least severe lines to log: debug, info, warn or error'),
  debug: flag('boolean', 'false', 'same as --log-level=debug'),
};

const EXPERIMENTAL = {
  'experimental-serializable-ordering': flag(
    'boolean',
    'false',
    'serializable reads fail where no endpoint is as recent as what was told before; otherwise the older answer is given',
  ),
  'experimental-leasing-prefix': flag('string', '', 'refused: --cache-prefix is the safe replacement'),
  'experimental-enable-grpc-logging': flag('boolean', 'false', 'log every call', 'ignored'),
};

/** The groups by the headings of `--help`, in its order. */
const TABLE = {
  Serving: SERVING,
  Clients: CLIENT_FLAGS,
  Endpoints: ENDPOINT_FLAGS,
  Upstream: UPSTREAM,
  Reads: READ_FLAGS,
  Watches: WATCHES,
  'The v2 proxy': V2_FLAGS,
  TLS: TLS_FLAGS,
  Registration: REGISTRATION_FLAGS,
  Observability: OBSERVABILITY,
  Experimental: EXPERIMENTAL,
};

/** The groups of flags, by their headings in `--help`. */
export type Group = keyof typeof TABLE;

/** All of a union's members at once. */
type Merged<U> = (U extends unknown ? (member: U) => void : never) extends (all: infer All) => void
  ? All
  : never;

/** The rows of all groups by the flag's name. */
export type Rows = Merged<(typeof TABLE)[Group]>;
/** The names of all flags, without dashes in front. */
export type FlagName = keyof Rows;

/** A flag with its place in the table. */
export interface Flag extends Row {
  /** Kebab-case, without dashes in front. */
  readonly name: FlagName;
  readonly group: Group;
}

/** Headings of `--help`, in its order. */
export const GROUPS = Object.keys(TABLE) as Group[];

/** Every flag, by group and in the order of the help. */
export const FLAGS: readonly Flag[] = GROUPS.flatMap((group) =>
  Object.entries<Row>(TABLE[group]).map(([name, row]) => ({ ...row, name: name as FlagName, group })),
);

/** The flag of this name; undefined: there is none. */
export function findFlag(name: string): Flag | undefined {
  return FLAGS.find((candidate) => candidate.name === name);
}

/** The environment variable that sets a flag: `--listen-addr` is `ETCD_PROXY_LISTEN_ADDR`. */
export function environmentName(flagName: string): string {
  return `ETCD_PROXY_${flagName.toUpperCase().replaceAll('-', '_')}`;
}
