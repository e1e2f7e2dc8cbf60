/**
 * A server that refuses streams and goes away in the middle of traffic loses no call, and processes none twice. The
 * server is node:http2: it does on purpose what etcd does when it is restarted or at a limit.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  constants,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { PutResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { startProxy } from '../support/proxy.ts';
import { bytes, connectTo } from './load.ts';

const PUT = '/etcdserverpb.KV/Put';
const REPLY = envelope(toBinary(PutResponseSchema, create(PutResponseSchema, { header: { revision: 1n } })));

function envelope(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Decides what to do with the n-th stream of the server's life: process it, or say that it was not. */
type Policy = (n: number, stream: ServerHttp2Stream, session: ServerHttp2Session) => 'process' | 'leave';

/** A server that notes the body of every call it processed. */
class OddServer {
  readonly processed: string[] = [];
  readonly #server: Http2Server = createServer();
  #streams = 0;

  constructor(policy: Policy) {
    this.#server.on('session', (session) => session.on('error', () => {}));
    this.#server.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.on('error', () => {}); // the client may be gone
      // On a busy machine the proxy asks a member that was silent for a second whether it serves: no call of the test's.
      if (headers[':path'] !== PUT) void this.#answer(stream);
      else if (policy(++this.#streams, stream, stream.session as ServerHttp2Session) === 'process')
        void this.#answer(stream).then((body) => this.processed.push(body));
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Gives the body that it has answered. */
  async #answer(stream: ServerHttp2Stream): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    if (!stream.destroyed) {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(REPLY);
    }
    return Buffer.concat(chunks).toString('latin1');
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}

/** Sends 800 different writes, 50 at a time, and gives the failures. */
async function writeMany(url: string): Promise<string[]> {
  const { kv } = connectTo(url);
  const failures: string[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < 800) {
      const key = `key-${next++}-`;
      await kv
        .put({ key: bytes(key) }, { timeoutMs: 20_000 })
        .catch((error: unknown) => failures.push(String(error)));
    }
  };
  await Promise.all(Array.from({ length: 50 }, worker));
  return failures;
}

async function expectEachOnce(policy: Policy): Promise<void> {
  using server = new OddServer(policy);
  await using proxy = await startProxy({ endpoints: [await server.listen()] });
  assert.deepEqual(await writeMany(proxy.url), []);
  assert.equal(new Set(server.processed).size, 800, 'each was processed');
  assert.equal(server.processed.length, 800, 'and none twice');
}

test('refused streams are sent again', () =>
  expectEachOnce((n, stream) => {
    if (n % 37 !== 0) return 'process';
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
    return 'leave';
  }));

test('streams above the last one of GOAWAY are sent again, the others are waited for', () => {
  const last = new WeakMap<ServerHttp2Session, number>();
  return expectEachOnce((n, stream, session) => {
    const id = stream.id as number;
    const limit = last.get(session);
    if (limit !== undefined && id > limit) return 'leave';
    if (n % 200 === 0 && limit === undefined) {
      session.goaway(constants.NGHTTP2_NO_ERROR, id);
      last.set(session, id);
    }
    return 'process';
  });
});

test('a connection that is closed gracefully again and again', () =>
  expectEachOnce((n, _stream, session) => {
    if (n % 100 === 0) session.close();
    return 'process';
  }));
