/** What is counted for messages that wait to be unpacked, and what becomes of them when nobody waits any more. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Deframer, envelopeHead } from '../../src/grpc/envelope.ts';
import { ErrorCode } from '../../src/http2/index.ts';
import type { ServerStream, UnaryHandler } from '../../src/rpc/contract.ts';
import { type Unpacked, UnpackLine, unpackLine } from '../../src/rpc/unpack.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { until } from '../support/until.ts';
import { callTo, data, GrpcDoor, ignore, packed, UNOBSERVED } from './grpc-door.ts';

const STREAM = callTo('Stream');
const UNARY = callTo('Unary');

/** A gRPC door with a streaming method, and a unary one that is never answered. */
class Scene extends GrpcDoor {
  readonly sizes: number[] = [];
  /** Who serves the streams keeps their messages. */
  keeps = false;
  unaryCalls = 0;
  /** What the observer of calls was told. */
  readonly told: string[];

  constructor() {
    const told: string[] = [];
    super({
      ...UNOBSERVED,
      onReceived: () => void told.push('received'),
      onHandled: () => void told.push('handled'),
    });
    this.told = told;
  }

  protected override unary(path: string): UnaryHandler | undefined {
    return path === '/test.Test/Unary' ? () => this.#neverAnswer() : undefined;
  }

  #neverAnswer(): Promise<Uint8Array> {
    this.unaryCalls++;
    return new Promise(ignore);
  }

  protected serve(stream: ServerStream): void {
    stream.listener = {
      onMessage: (message) => {
        this.sizes.push(message.length);
        if (this.keeps) stream.hold(message.length);
      },
      ...{ onHalfClose: ignore, onDrain: ignore, onCancel: ignore },
    };
  }
}

/** Made before: who has just used up a core may get none for a while, in which the threads are free again. */
const LONG_WORK = gzipSync(Buffer.alloc(32 << 20));

/** What waits of them must be little beside what the tests send. */
const OCCUPANTS = 7;

/** Occupies the threads, so that what comes waits in the line. */
function occupy(line: UnpackLine, count: number): Promise<unknown> {
  return Promise.all(
    Array.from(
      { length: count },
      () => new Promise((resolve) => line.unpack({}, LONG_WORK, 32 << 20, resolve)),
    ),
  );
}

describe('messages that are large once they are unpacked', () => {
  const MIB = 1 << 20;
  for (const kind of ['unary', 'stream'] as const)
    test(`are refused when all memory is taken, ${kind}`, async () => {
      await using scene = new Scene();
      scene.keeps = true;
      const peer = await scene.begin();
      const message = packed(Buffer.alloc(6 * MIB));
      for (let id = 1; id < 80; id += 2) {
        peer.send(raw.frame('HEADERS', raw.END_HEADERS, id, kind === 'unary' ? UNARY : STREAM));
        peer.send(data(id, message, kind === 'unary' ? raw.END_STREAM : 0));
      }
      let most = 0;
      await until('all were unpacked', () => {
        most = Math.max(most, scene.ledger.held);
        return scene.unaryCalls + scene.ledger.refused >= 40 || scene.sizes.length >= 40;
      });
      assert.ok(most <= 64 * MIB + 3 * 6 * MIB, `${most} held`);
      assert.ok(scene.ledger.refused > 20, `${scene.ledger.refused} refused`);
      assert.ok(scene.unaryCalls < 12);
    });
});

describe('messages on streams that wait to be unpacked', () => {
  test('are counted until they were passed on, and so is what came behind them', async () => {
    await using scene = new Scene();
    const peer = await scene.begin();
    const threads = occupy(unpackLine, OCCUPANTS);
    const small = Buffer.concat([envelopeHead(2000), Buffer.alloc(2000)]);
    peer.send(raw.frame('HEADERS', raw.END_HEADERS, 1, STREAM));
    peer.send(data(1, Buffer.concat([packed(randomBytes(100_000)), small])));
    assert.ok(await peer.settled());
    assert.deepEqual(scene.sizes, []);
    assert.ok(scene.ledger.held > 100_000, `${scene.ledger.held} while it waits`);
    await threads;
    await until('both have arrived', () => scene.sizes.length === 2);
    assert.ok(await peer.settled());
    assert.ok(scene.ledger.held < 6000, `${scene.ledger.held} afterwards`);
  });

  test('are dropped with their call', async () => {
    await using scene = new Scene();
    const peer = await scene.begin();
    const threads = occupy(unpackLine, OCCUPANTS);
    for (let id = 1; id < 20; id += 2) {
      peer.send(raw.frame('HEADERS', raw.END_HEADERS, id, STREAM));
      peer.send(data(id, packed(randomBytes(100_000))));
    }
    assert.ok(await peer.settled());
    assert.ok(unpackLine.waitingBytes > 1_000_000);
    for (let id = 1; id < 20; id += 2) peer.send(raw.frame('RST_STREAM', 0, id, raw.u32(ErrorCode.CANCEL)));
    assert.ok(await peer.settled());
    assert.ok(unpackLine.waitingBytes < 200_000, `${unpackLine.waitingBytes} bytes still wait`);
    await threads;
    assert.deepEqual(scene.sizes, []);
  });
});

for (const [kind, fields] of [
  ['unary', UNARY],
  ['stream', STREAM],
] as const)
  test(`a message that is being unpacked when its call ends is not counted as received, ${kind}`, async () => {
    await using scene = new Scene();
    const peer = await scene.begin();
    // It is with a thread when the end of the call is read, in the same segment.
    peer.send(
      raw.frame('HEADERS', raw.END_HEADERS, 1, fields),
      data(1, packed(Buffer.alloc(8 << 20)), kind === 'unary' ? raw.END_STREAM : 0),
      raw.frame('RST_STREAM', 0, 1, raw.u32(ErrorCode.CANCEL)),
    );
    assert.ok(await peer.settled());
    // What the threads are given after it is done later.
    await occupy(unpackLine, OCCUPANTS);
    assert.deepEqual(scene.told, ['handled']);
    assert.equal(scene.ledger.held, 0);
  });

test('what came behind a message is not unpacked when the call ends meanwhile', async () => {
  const deframer = new Deframer({ maxBytes: 8 << 20, tooLarge: () => 'too large' }, 'gzip');
  let begun = 0;
  const sink = {
    onMessage: () => assert.fail('a message for nobody'),
    onUnpacking: () => {
      begun++;
      return sink;
    },
    onUnpacked: () => assert.fail('nobody waits'),
  };
  const message = packed(Buffer.alloc(8 << 20));
  assert.equal(deframer.push(Buffer.concat([message, message]), sink), undefined);
  deframer.stop();
  await occupy(unpackLine, OCCUPANTS);
  assert.equal(begun, 1);
});

test('a unary request of three messages is received once, and the call ends once', async () => {
  await using scene = new Scene();
  const peer = await scene.begin();
  const message = Buffer.concat([envelopeHead(10), Buffer.alloc(10)]);
  peer.send(
    raw.frame('HEADERS', raw.END_HEADERS, 1, UNARY),
    data(1, Buffer.concat([message, message, message])),
  );
  assert.ok(await peer.settled());
  assert.deepEqual(scene.told, ['received', 'handled']);
});

test('a message that is dropped leaves the line, and nobody is called back for it', async () => {
  const line = new UnpackLine();
  const client = {};
  const threads = occupy(line, 2);
  const done: string[] = [];
  const note = (name: string) => (_: Unpacked) => void done.push(name);
  const message = gzipSync(Buffer.alloc(1000));
  line.unpack(client, message, 2000, note('one'));
  const drop = line.unpack(client, message, 2000, note('two'));
  line.unpack(client, message, 2000, note('three'));
  assert.equal(line.waitingBytes, 3 * message.length);
  drop();
  drop();
  assert.equal(line.waitingBytes, 2 * message.length);
  await threads;
  await until('the others are done', () => done.length === 2);
  assert.deepEqual(done, ['one', 'three']);
  assert.equal(line.waitingBytes, 0);
});
