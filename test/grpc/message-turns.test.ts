/** Very many small messages: so many are taken in a turn of the event loop, and none is lost or changes its place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { unknownMethod } from '../../src/etcd/methods.ts';
import { GrpcServer } from '../../src/grpc/server.ts';
import { encodeHeaders } from '../../src/http2/index.ts';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { EngineServer } from '../http2/support/exchange.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { until } from '../support/until.ts';

const ignore = (): void => {};
const FIELDS = encodeHeaders([
  ...[':method', 'POST', ':scheme', 'http', ':path', '/test.Test/Stream', ':authority', 'a'],
  ...['content-type', 'application/grpc', 'te', 'trailers', 'grpc-encoding', 'gzip'],
]);
/** Octets that are read from a socket at once. */
const READ = 64 << 10;

/** A gRPC door that counts the messages of each turn of the event loop. */
class Scene implements AsyncDisposable {
  readonly ledger = new Ledger(64 << 20);
  readonly messages: number[] = [];
  most = 0;
  ended = 0;
  #inTurn = 0;
  readonly #server: EngineServer;

  constructor() {
    const door = new GrpcServer({
      services: {
        method: unknownMethod,
        unary: () => undefined,
        stream: () => (stream) => this.#serve(stream),
      },
      receive: { maxBytes: 1 << 20, tooLarge: () => 'too large' },
      observer: {
        ...{ onReceived: ignore, onHandled: ignore, onStarted: ignore, onSent: ignore },
        ...{ onMalformedReply: ignore, onFault: ignore },
      },
    });
    this.#server = new EngineServer((stream) => door.accept(stream), {}, this.ledger);
  }

  async begin(): Promise<raw.RawPeer> {
    const peer = raw.rawClient(await this.#server.listen());
    assert.ok(await peer.settled());
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    assert.equal(this.ledger.held, 0);
  }

  #serve(stream: ServerStream): void {
    stream.listener = {
      onMessage: (message) => this.#take(message),
      onHalfClose: () => void this.ended++,
      ...{ onDrain: ignore, onCancel: ignore },
    };
  }

  #take(message: Uint8Array): void {
    this.messages.push(Buffer.from(message).readUInt32BE());
    if (this.#inTurn++ === 0)
      setImmediate(() => {
        this.#inTurn = 0;
      });
    this.most = Math.max(this.most, this.#inTurn);
  }
}

function message(number: number, packed: boolean): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  const body = packed ? gzipSync(bytes) : bytes;
  const head = Buffer.alloc(5);
  head[0] = packed ? 1 : 0;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

for (const packed of [false, true])
  test(`thousands in a few frames${packed ? ', compressed' : ''}`, async () => {
    await using scene = new Scene();
    const peer = await scene.begin();
    const numbers = Array.from({ length: 50_000 }, (_, i) => i);
    const content = Buffer.concat(numbers.map((number) => message(number, packed)));
    const frames: Buffer[] = [];
    for (let at = 0; at < content.length; at += 16_000) {
      const end = at + 16_000 < content.length ? 0 : raw.END_STREAM;
      frames.push(raw.frame('DATA', end, 1, content.subarray(at, at + 16_000)));
    }
    peer.send(raw.frame('HEADERS', raw.END_HEADERS, 1, FIELDS), ...frames);
    await until('all have come', () => scene.ended === 1);
    assert.deepEqual(scene.messages, numbers);
    // What is read at once is more than a turn has, of compressed ones since each counts for some; what was read before reading
    // stopped comes at the end of the turn.
    const most = 3 * Math.ceil(READ / (content.length / numbers.length));
    assert.ok(scene.most <= most, `${scene.most} in one turn`);
    peer.close();
  });
