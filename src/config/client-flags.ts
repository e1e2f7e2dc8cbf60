/** The flags about what one client, its connection and its requests may take: a part of the one table of flags. */
import { number } from './flag.ts';
import { ANY, GO_KEEPALIVE, MESSAGE, SOME } from './limits.ts';

/** In the order of the help. */
export const CLIENT_FLAGS = {
  'max-send-bytes': number(
    'bytes',
    '67108864',
    MESSAGE,
    'largest message sent to etcd; a larger request fails with RESOURCE_EXHAUSTED before etcd, which has a limit of its own (--max-request-bytes), sees it',
  ),
  // SETTINGS_MAX_CONCURRENT_STREAMS has 32 bits.
  'max-concurrent-streams': number(
    'integer',
    '4294967295',
    { least: 1, most: 0xffffffff },
    'streams that one client connection may have open; 4294967295: as many as memory for requests allows',
  ),
  'max-metadata-bytes': number(
    'bytes',
    '1048576',
    { least: 4 << 10 },
    'metadata of one request: all its header fields, each with 32 bytes on top',
  ),
  'max-request-bytes-in-flight': number(
    'bytes',
    '268435456',
    { least: 1 << 20 },
    'memory for the requests of all clients that are being received or wait, with their metadata and the state of streams; those who send most are read no further, then refused with RESOURCE_EXHAUSTED',
  ),
  // With less, a value of the size that etcd takes by default could never be read.
  'max-queued-bytes': number(
    'bytes',
    '536870912',
    { least: 2 << 20 },
    'unread replies before a client is cut off; more than the largest reply',
  ),
  'max-resets-per-second': number(
    'integer',
    '500',
    ANY,
    'streams that a client may open and reset at once on a connection before its new ones have to wait; 0: any number',
  ),
  'max-control-frames-per-second': number(
    'integer',
    '10000',
    ANY,
    'frames that carry nothing, such as pings, before a client connection is read more slowly; 0: any number',
  ),
  'client-write-timeout': number(
    'duration',
    '2m',
    ANY,
    'close a connection that takes nothing of what is sent to it for this long; 0s: never',
  ),
  'first-byte-timeout': number(
    'duration',
    '10s',
    SOME,
    'close a connection that sends nothing for this long after it opened, or after its TLS handshake',
  ),
  'grpc-keepalive-min-time': number(
    'duration',
    '5s',
    ANY,
    'shortest interval at which a client may ping; 0s: any',
  ),
  'grpc-keepalive-interval': number(
    'duration',
    '2h',
    GO_KEEPALIVE,
    'ping a client after this long without traffic; 0s: 2h',
  ),
  'grpc-keepalive-timeout': number(
    'duration',
    '20s',
    GO_KEEPALIVE,
    'close the connection when a client does not answer a ping in this time; 0s: 20s',
  ),
};
