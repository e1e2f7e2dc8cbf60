/**
 * A side that stops reading stops the other side from being read: memory stays flat, and nothing is lost when it
 * reads again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { WatchRequestSchema, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { bytes, connectTo } from '../failover/load.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { envelope, openStream, residentBytes } from './raw-stream.ts';

const MIB = 1 << 20;
/** Windows, read buffers and garbage that the collector has not seen yet; the streams below carry far more. */
const FLAT_BYTES = 48 * MIB;
/** Of one response of etcd so much is kept together, once as it came, once for its reader, and once while it comes. */
const RESPONSE_BYTES = 3 * 64 * MIB;

test('a client that stops reading a watch', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const direct = connectTo(etcd.first.url);
  const count = 500;
  for (let i = 0; i < count; i++) await direct.kv.put({ key: bytes('big'), value: Buffer.alloc(MIB, i) });
  await connectTo(proxy.url).kv.range({ key: bytes('small') });
  const before = residentBytes(proxy.process.pid);

  using raw = openStream(proxy.url, '/etcdserverpb.Watch/Watch');
  const value = { key: bytes('big'), startRevision: 1n, fragment: true };
  const requestUnion = { case: 'createRequest' as const, value };
  raw.stream.write(envelope(toBinary(WatchRequestSchema, create(WatchRequestSchema, { requestUnion }))));
  await sleep(3000); // memory may not grow meanwhile
  const grown = residentBytes(proxy.process.pid) - before;
  assert.ok(grown < RESPONSE_BYTES + FLAT_BYTES, `grew by ${grown} bytes of ${count * MIB} sent`);

  const revisions = await readEvents(raw.stream, count);
  assert.equal(revisions.length, count);
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => Number(a - b)),
  );
});

/** Reads watch responses until `count` events have come; their revisions. */
async function readEvents(stream: AsyncIterable<Buffer>, count: number): Promise<bigint[]> {
  const revisions: bigint[] = [];
  let pending: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
      const end = 5 + pending.readUInt32BE(1);
      const { events } = fromBinary(WatchResponseSchema, pending.subarray(5, end));
      revisions.push(...events.map((event) => event.kv?.modRevision ?? 0n));
      pending = pending.subarray(end);
    }
    if (revisions.length >= count) break;
  }
  return revisions;
}

test('a server that stops reading a stream', async () => {
  const held = Promise.withResolvers<AsyncIterable<Buffer>>();
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  using _ = { [Symbol.dispose]: () => server.forceShutdown() };
  const same = (buffer: Buffer): Buffer => buffer;
  const method = {
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    responseSerialize: same,
  };
  server.addService(
    {
      take: { ...method, path: '/foreign.Service/Take', requestDeserialize: same, responseDeserialize: same },
    },
    { take: (call: AsyncIterable<Buffer>) => held.resolve(call) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  await using proxy = await startProxy({ endpoints: [`127.0.0.1:${port}`] });
  using raw = openStream(proxy.url, '/foreign.Service/Take');
  const message = envelope(Buffer.alloc(MIB, 7));
  let written = 0;
  const before = residentBytes(proxy.process.pid);
  const pump = (): void => {
    while (written < 150 && raw.stream.write(message)) written++;
  };
  raw.stream.on('drain', pump);
  pump();
  const call = await held.promise;
  await sleep(3000); // memory may not grow meanwhile
  const grown = residentBytes(proxy.process.pid) - before;
  assert.ok(written < 100, `the client was stopped, not after ${written} MiB`);
  assert.ok(grown < FLAT_BYTES, `grew by ${grown} bytes`);

  let received = 0;
  for await (const request of call) {
    assert.equal(request.length, MIB);
    if (++received === 150) break;
  }
});
