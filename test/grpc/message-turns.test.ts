/** Very many small messages: so many are taken in a turn of the event loop, and none is lost or changes its place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerStream } from '../../src/rpc/contract.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { until } from '../support/until.ts';
import { callTo, data, GrpcDoor, ignore, packed, plain } from './grpc-door.ts';

/** Octets that are read from a socket at once. */
const READ = 64 << 10;

/** A door that counts the messages of each turn of the event loop. */
class Scene extends GrpcDoor {
  readonly messages: number[] = [];
  most = 0;
  ended = 0;
  #inTurn = 0;

  protected serve(stream: ServerStream): void {
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

function bytesOf(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}

for (const form of [plain, packed])
  test(`thousands in a few frames, ${form.name}`, async () => {
    await using scene = new Scene();
    const peer = await scene.begin();
    const numbers = Array.from({ length: 50_000 }, (_, i) => i);
    const content = Buffer.concat(numbers.map((number) => form(bytesOf(number))));
    peer.send(raw.frame('HEADERS', raw.END_HEADERS, 1, callTo('Stream')), data(1, content, raw.END_STREAM));
    await until('all have come', () => scene.ended === 1);
    assert.deepEqual(scene.messages, numbers);
    // What is read at once is more than a turn has, of compressed ones since each counts for some; what was read before reading
    // stopped comes at the end of the turn.
    const most = 3 * Math.ceil(READ / (content.length / numbers.length));
    assert.ok(scene.most <= most, `${scene.most} in one turn`);
    peer.close();
  });
