/** A gRPC stream on bare node:http2, whose reader can stop: what a client under load, or a hostile one, does. */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Stream, connect } from 'node:http2';

/** A message in its envelope. */
export function envelope(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + message.length);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, 5);
  return bytes;
}

/** One stream on a connection of its own. */
export interface RawStream extends Disposable {
  readonly stream: ClientHttp2Stream;
}

/** Opens a stream; nothing is read before somebody listens to its data. */
export function openStream(url: string, path: string): RawStream {
  const session = connect(url);
  session.on('error', () => {}); // the tests look at the stream
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {}); // ended by the test
  return { stream, [Symbol.dispose]: () => session.destroy() };
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib) * 1024;
}
