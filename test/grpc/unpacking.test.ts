/** Compressed messages: what is large once it is unpacked is unpacked on other threads, and order and errors stay. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { PutRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Deframer, type MessageSink } from '../../src/grpc/envelope.ts';
import { Code, type RpcError } from '../../src/rpc/status.ts';
import { BROKEN, TOO_LARGE, type Unpacked, UnpackLine, unpackSmall } from '../../src/rpc/unpack.ts';
import { bytes, clientOf } from '../reads/clients.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { CompressingClient } from './compressing-client.ts';

const MAX = 2 << 20;
const LIMITS = { maxBytes: MAX, tooLarge: (size: number, limit: number) => `${size} vs. ${limit}` };
const large = Buffer.alloc(1_500_000, 'a');

function envelope(message: Uint8Array, compress: boolean): Buffer {
  const body = compress ? gzipSync(message) : message;
  const head = Buffer.alloc(5);
  head[0] = compress ? 1 : 0;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Takes messages, and reads nothing while one is unpacked, as a stream does. */
class Reader implements MessageSink {
  readonly messages: number[] = [];
  error: RpcError | undefined;
  readonly #deframer = new Deframer(LIMITS, 'gzip');
  #chunks: Buffer[] = [];
  #paused = false;

  get done(): boolean {
    return this.error !== undefined || (!this.#paused && this.#chunks.length === 0);
  }

  get complete(): boolean {
    return this.#deframer.complete;
  }

  read(...chunks: Buffer[]): void {
    this.#chunks.push(...chunks);
    while (!this.#paused && this.error === undefined) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) return;
      this.error = this.#deframer.push(chunk, this);
    }
  }

  onMessage(message: Uint8Array): void {
    this.messages.push(message.length);
  }

  onUnpacking(): object {
    this.#paused = true;
    return this;
  }

  onUnpacked(error: RpcError | undefined): void {
    this.#paused = false;
    this.error = error;
    this.read();
  }
}

describe('cutting', () => {
  test('nothing large is unpacked in the turn in which it arrives', async () => {
    const reader = new Reader();
    reader.read(Buffer.concat(Array.from({ length: 40 }, () => envelope(large, true))));
    assert.deepEqual(reader.messages, []);
    assert.equal(reader.complete, false);
    await until('all are there', () => reader.messages.length === 40);
    assert.ok(reader.complete);
  });

  test('small ones are, and messages keep their order however they are cut', async () => {
    const one = fc.record({ size: fc.constantFrom(0, 10, 5000, 20_000, 100_000), compress: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(one, { maxLength: 8 }),
        fc.infiniteStream(fc.nat(9000)),
        async (list, cuts) => {
          const whole = Buffer.concat(
            list.map(({ size, compress }) => envelope(Buffer.alloc(size), compress)),
          );
          const chunks: Buffer[] = [];
          for (let at = 0; at < whole.length; ) {
            const size = 1 + (cuts.next().value as number);
            chunks.push(whole.subarray(at, at + size));
            at += size;
          }
          const reader = new Reader();
          reader.read(...chunks);
          await until('all is read', () => reader.done);
          assert.deepEqual(
            reader.messages,
            list.map(({ size }) => size),
          );
          assert.ok(reader.complete);
        },
      ),
      { numRuns: 200 },
    );
    const reader = new Reader();
    reader.read(envelope(Buffer.alloc(10_000), true));
    assert.deepEqual(reader.messages, [10_000]);
  });

  test('errors come after the messages before them', async () => {
    const reader = new Reader();
    reader.read(Buffer.concat([envelope(large, true), envelope(Buffer.alloc(MAX + 1), true)]));
    await until('it has ended', () => reader.error !== undefined);
    assert.deepEqual(reader.messages, [large.length]);
    assert.equal(reader.error?.code, Code.RESOURCE_EXHAUSTED);
    const broken = new Reader();
    const half = envelope(large, true);
    half.fill(0x55, 30, 60);
    broken.read(half);
    await until('it has ended', () => broken.error !== undefined);
    assert.equal(broken.error?.code, Code.INTERNAL);
  });
});

describe('the line', () => {
  test('clients have their turns, whoever has how many messages', async () => {
    const line = new UnpackLine();
    const packed = gzipSync(large);
    const other = gzipSync(Buffer.concat([large, large]));
    const [many, one] = [{}, {}];
    // Bytes that wait whenever one is done. A thread may be slow with what it has, so who ends first says nothing.
    const waiting: number[] = [];
    const note = () => waiting.push(line.waitingBytes);
    for (let i = 0; i < 20; i++) line.unpack(many, packed, MAX, note);
    line.unpack(one, other, MAX, note);
    assert.equal(waiting.length, 0);
    await until('all are done', () => waiting.length === 21);
    assert.notEqual(other.length, packed.length);
    assert.deepEqual(waiting.slice(0, 2), [17 * packed.length + other.length, 17 * packed.length]);
  });

  test('what it says of sizes: bombs, lies, several members, garbage', async () => {
    const line = new UnpackLine();
    const unpack = (packed: Buffer, max: number) =>
      new Promise<Unpacked>((resolve) => line.unpack(line, packed, max, resolve));
    const bomb = gzipSync(Buffer.alloc(50 << 20));
    assert.equal(await unpack(bomb, MAX), TOO_LARGE);
    assert.equal(unpackSmall(bomb, MAX), undefined);
    const lie = Buffer.from(bomb);
    lie.writeUInt32LE(10, lie.length - 4);
    assert.equal(unpackSmall(lie, MAX), undefined);
    assert.equal(await unpack(lie, MAX), TOO_LARGE);
    assert.equal(unpackSmall(lie, 1000), TOO_LARGE);
    const members = Buffer.concat([gzipSync(Buffer.alloc(100_000)), gzipSync('end')]);
    assert.equal(unpackSmall(members, MAX), undefined);
    assert.equal(((await unpack(members, MAX)) as Buffer).length, 100_003);
    assert.equal(unpackSmall(Buffer.from('no gzip\0\0\0\0'), MAX), BROKEN);
    assert.equal(await unpack(Buffer.from('garbage'), MAX), BROKEN);
    assert.deepEqual(unpackSmall(gzipSync(''), MAX), Buffer.alloc(0));
  });
});

test('through a proxy: compressed puts arrive, whole and one after the other', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using client = new CompressingClient(proxy.url);
  const put = (value: Uint8Array) =>
    toBinary(PutRequestSchema, create(PutRequestSchema, { key: bytes('packed'), value }));
  const value = Buffer.alloc(1_400_000, 'v');
  const codes = await Promise.all(Array.from({ length: 20 }, () => client.unary('KV/Put', [put(value)])));
  assert.deepEqual(new Set(codes), new Set([Code.OK]));
  const reply = await clientOf(etcd.first.address).range({ key: bytes('packed') });
  assert.deepEqual(Buffer.from(reply.kvs[0]?.value ?? []), value);
  assert.equal(reply.kvs[0]?.version, 20n);
  assert.equal(await client.unary('KV/Put', [put(Buffer.alloc(3 << 20))]), Code.RESOURCE_EXHAUSTED);
  assert.equal(await client.unary('KV/Put', [put(value), put(value)]), Code.INTERNAL);
});
