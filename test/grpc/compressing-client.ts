/** A gRPC client on bare node:http2 that compresses every message. */
import { type ClientHttp2Session, connect } from 'node:http2';
import { gzipSync } from 'node:zlib';

export class CompressingClient implements Disposable {
  readonly #session: ClientHttp2Session;

  constructor(url: string) {
    this.#session = connect(url);
    this.#session.on('error', () => {}); // the calls tell
  }

  /** Makes a call of `etcdserverpb`, such as `KV/Put`, and returns its status code; -1 where there is none. */
  unary(method: string, messages: readonly Uint8Array[]): Promise<number> {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': `/etcdserverpb.${method}`,
      'content-type': 'application/grpc',
      'grpc-encoding': 'gzip',
      te: 'trailers',
    });
    return new Promise((resolve) => {
      let code = -1;
      stream.on('response', (headers) => {
        code = Number(headers['grpc-status'] ?? code);
      });
      stream.on('trailers', (trailers) => {
        code = Number(trailers['grpc-status'] ?? code);
      });
      stream.on('error', () => {}); // `close` follows
      stream.on('close', () => resolve(code));
      stream.resume();
      for (const message of messages) {
        const body = gzipSync(message);
        const head = Buffer.of(1, 0, 0, 0, 0);
        head.writeUInt32BE(body.length, 1);
        stream.write(head);
        stream.write(body);
      }
      stream.end();
    });
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}
