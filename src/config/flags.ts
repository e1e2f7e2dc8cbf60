/**
 * The one table of flags. Parsing, the environment, `--help` and `docs/flags.md` all come from it. Names and
 * defaults of `etcd grpc-proxy start` are kept, so that its scripts and manifests work unchanged.
 */
import { type Flag, flag } from './flag.ts';
import { TLS_FLAGS } from './tls-flags.ts';

export { type Flag, GROUPS } from './flag.ts';

/** Every flag, by group and in the order of the help. */
export const FLAGS: readonly Flag[] = [
  flag(
    'Serving',
    'listen-addr',
    'address',
    '127.0.0.1:23790',
    'address to serve on: host:port, or unix:///path',
  ),
  flag(
    'Serving',
    'cors-allowed-origins',
    'list',
    '',
    'browser origins that may call from other sites (comma separated, * for any); empty: same origin only',
  ),
  flag(
    'Serving',
    'advertise-client-url',
    'string',
    '127.0.0.1:23790',
    'address under which clients reach this proxy',
    'ignored',
  ),
  flag('Serving', 'namespace', 'string', '', 'prefix put in front of every key', 'refused'),
  flag('Serving', 'data-dir', 'string', 'default.proxy', 'folder for generated certificates'),

  flag(
    'Upstream',
    'endpoints',
    'endpoints',
    '127.0.0.1:2379',
    'etcd endpoints (comma separated): host:port, http://host:port, https://host:port, unix:///path, unixs:///path',
  ),
  flag('Upstream', 'dial-timeout', 'duration', '2s', 'time for one connection attempt to an endpoint'),
  flag(
    'Upstream',
    'dial-keepalive-time',
    'duration',
    '10s',
    'ping etcd after this long without an answer while calls are open, so that a hung endpoint is left; at least 10s; 0s: never',
  ),
  flag(
    'Upstream',
    'dial-keepalive-timeout',
    'duration',
    '20s',
    'close the connection when a ping is not answered in this time; 0s: 20s',
  ),
  flag(
    'Upstream',
    'permit-without-stream',
    'boolean',
    'false',
    'ping etcd also while no call is open; a stream of health checks is then held open',
  ),
  flag(
    'Upstream',
    'endpoints-auto-sync-interval',
    'duration',
    '0s',
    'refresh the endpoints from the member list this often; 0s: never',
    'ignored',
  ),
  flag(
    'Upstream',
    'discovery-srv',
    'string',
    '',
    'DNS domain whose SRV records name the endpoints',
    'ignored',
  ),
  flag('Upstream', 'discovery-srv-name', 'string', '', 'service name suffix for the SRV query', 'ignored'),
  flag(
    'Upstream',
    'insecure-discovery',
    'boolean',
    'false',
    'accept endpoints from SRV records without TLS',
    'ignored',
  ),
  flag('Upstream', 'watch-coalescing', 'switch', 'on', 'watches of clients share watches on etcd'),
  flag('Upstream', 'watch-linger', 'duration', '5s', 'keep watching a range for this long when unused'),

  flag(
    'Reads',
    'read-coalescing',
    'switch',
    'on',
    'reads that ask the same at the same time share one call to etcd; off: each is forwarded by itself',
  ),
  flag(
    'Reads',
    'max-read-flights',
    'integer',
    '10000',
    'different reads in flight that others may share; one more is forwarded by itself',
  ),
  flag(
    'Reads',
    'cache',
    'switch',
    'on',
    'answer serializable reads from memory while a watch proves that nothing has changed; off: ask etcd',
  ),
  flag('Reads', 'cache-bytes', 'bytes', '67108864', 'memory for answers to serializable reads'),
  flag(
    'Reads',
    'cache-max-feeds',
    'integer',
    '1000',
    'watches on etcd for ranges that only the cache needs; further ranges are not remembered',
  ),
  flag(
    'Reads',
    'cache-prefix',
    'list',
    '',
    'key prefixes held in memory (comma separated or repeated): reads inside them cost etcd no more than the question for its revision',
  ),
  flag(
    'Reads',
    'cache-prefix-bytes',
    'bytes',
    '268435456',
    'memory for each prefix; above it, its reads are forwarded',
  ),
  flag(
    'Reads',
    'cache-prefix-user-file',
    'string',
    '',
    "file with name:password of the user that reads the prefixes while etcd's auth is on",
  ),
  flag(
    'Reads',
    'cache-wait',
    'duration',
    '1s',
    'time in which a prefix in memory has to come as far as a read needs; then the read is forwarded',
  ),
  flag(
    'Reads',
    'cache-max-fallbacks',
    'integer',
    '128',
    'reads forwarded at once because a prefix in memory is behind; others wait in line',
  ),

  flag(
    'Limits',
    'max-send-bytes',
    'bytes',
    '67108864',
    'largest message sent to etcd; a larger request fails with RESOURCE_EXHAUSTED before etcd, which has a limit of its own (--max-request-bytes), sees it',
  ),
  flag('Limits', 'max-recv-bytes', 'bytes', '2147483647', 'largest message accepted from etcd'),
  flag(
    'Limits',
    'max-concurrent-streams',
    'integer',
    '4294967295',
    'streams that one client connection may have open; 4294967295: as many as memory for requests allows',
  ),
  flag(
    'Limits',
    'max-metadata-bytes',
    'bytes',
    '1048576',
    'metadata of one request: all its header fields, each with 32 bytes on top',
  ),
  flag(
    'Limits',
    'max-request-bytes-in-flight',
    'bytes',
    '268435456',
    'memory for the requests of all clients that are being received or wait, with their metadata and the state of streams; those who send most are read no further, then refused with RESOURCE_EXHAUSTED',
  ),
  flag(
    'Limits',
    'max-queued-bytes',
    'bytes',
    '536870912',
    'unread replies before a client is cut off; more than the largest reply',
  ),
  flag(
    'Limits',
    'max-resets-per-second',
    'integer',
    '500',
    'streams that a client may open and reset at once on a connection before its new ones have to wait; 0: any number',
  ),
  flag(
    'Limits',
    'max-control-frames-per-second',
    'integer',
    '10000',
    'frames that carry nothing, such as pings, before a client connection is read more slowly; 0: any number',
  ),
  flag(
    'Limits',
    'client-write-timeout',
    'duration',
    '2m',
    'close a connection that takes nothing of what is sent to it for this long; 0s: never',
  ),
  flag(
    'Limits',
    'max-waiting-calls',
    'integer',
    '10000',
    'calls that may wait for a connection to etcd; one more fails with UNAVAILABLE',
  ),
  flag(
    'Limits',
    'first-byte-timeout',
    'duration',
    '10s',
    'close a connection that sends nothing for this long after it opened, or after its TLS handshake',
  ),
  flag(
    'Limits',
    'grpc-keepalive-min-time',
    'duration',
    '5s',
    'shortest interval at which a client may ping; 0s: any',
  ),
  flag(
    'Limits',
    'grpc-keepalive-interval',
    'duration',
    '2h',
    'ping a client after this long without traffic; 0s: 2h',
  ),
  flag(
    'Limits',
    'grpc-keepalive-timeout',
    'duration',
    '20s',
    'close the connection when a client does not answer a ping in this time; 0s: 20s',
  ),
  flag('Limits', 'watch-history-bytes', 'bytes', '67108864', 'memory for events of all watches'),
  flag('Limits', 'watch-history-revisions', 'integer', '10000', 'revisions remembered of one range'),

  ...TLS_FLAGS,

  flag(
    'Cluster',
    'resolver-prefix',
    'string',
    '',
    'key prefix under which the proxy registers itself',
    'ignored',
  ),
  flag('Cluster', 'resolver-ttl', 'integer', '0', 'seconds after which the registration expires', 'ignored'),

  flag(
    'Observability',
    'metrics-addr',
    'addresses',
    '',
    'further addresses for /metrics and /health: http://host:port, or https:// with the certificates of the clients side (comma separated or repeated)',
  ),
  flag('Observability', 'enable-pprof', 'boolean', 'false', 'serve profiles', 'ignored'),
  flag(
    'Observability',
    'log-level',
    'level',
    'info',
    'least severe lines to log: debug, info, warn or error',
  ),
  flag('Observability', 'debug', 'boolean', 'false', 'same as --log-level=debug'),

  flag(
    'Experimental',
    'experimental-serializable-ordering',
    'boolean',
    'false',
    'serializable reads fail where no endpoint is as recent as what was told before; otherwise the older answer is given',
  ),
  flag('Experimental', 'experimental-leasing-prefix', 'string', '', 'leasing metadata prefix', 'ignored'),
  flag('Experimental', 'experimental-enable-grpc-logging', 'boolean', 'false', 'log every call', 'ignored'),
];

/** The environment variable that sets a flag: `--listen-addr` is `ETCD_PROXY_LISTEN_ADDR`. */
export function environmentName(flagName: string): string {
  return `ETCD_PROXY_${flagName.toUpperCase().replaceAll('-', '_')}`;
}
