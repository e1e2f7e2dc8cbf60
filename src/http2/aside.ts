/** Streams beside those that matter: the connection counts as unused, and comes to its end, without them. */
import type { Http2Connection } from './connection.ts';
import type { StreamListener } from './listener.ts';
import type { Stream } from './stream.ts';

/**
 * Client role: opens a stream that nobody waits for, with the request's field block. Undefined when there is no place
 * for it: the last place is left for others.
 */
export function requestAside(
  connection: Http2Connection,
  block: Uint8Array,
  listener: StreamListener,
): Stream | undefined {
  const { table, exchange } = connection;
  if (!connection.canOpenStream || table.size + 2 > exchange.peer.maxConcurrentStreams) return undefined;
  const stream = connection.request(block, listener, false);
  table.setAside(stream);
  return stream;
}
