/** What programs with `@grpc/grpc-js` do with etcd. */
import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { type StatusObject, status } from '@grpc/grpc-js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease, LeaseKeepAliveRequestSchema } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch, WatchRequestSchema, type WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { Health, HealthCheckResponse_ServingStatus } from '#gen/grpc/health/v1/health_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { until } from '../../support/until.ts';
import { GrpcJs } from './grpc-js.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

export async function kv(address: string): Promise<void> {
  using client = new GrpcJs(address);
  const key = bytes('grpc-js/kv');
  const put = await client.unary(KV.method.put, { key, value: bytes('1') });
  assert.ok((put.header?.revision ?? 0n) > 0n);
  const range = await client.unary(KV.method.range, { key });
  assert.equal(Buffer.from(range.kvs[0]?.value ?? []).toString(), '1');
  const big = new Uint8Array(1_000_000).fill(7);
  await client.unary(KV.method.put, { key, value: big });
  const back = await client.unary(KV.method.range, { key });
  assert.ok(Buffer.from(big).equals(back.kvs[0]?.value ?? new Uint8Array()));
  const many = Array.from({ length: 500 }, (_, at) =>
    client.unary(KV.method.put, { key: bytes(`grpc-js/many/${at}`), value: bytes('x') }),
  );
  await Promise.all(many);
  const [first, end] = [bytes('grpc-js/many/'), bytes('grpc-js/many0')];
  const counted = await client.unary(KV.method.range, { key: first, rangeEnd: end, countOnly: true });
  assert.equal(counted.count, 500n);
  const gone = await client.unary(KV.method.deleteRange, { key: first, rangeEnd: end });
  assert.equal(gone.deleted, 500n);
}

export async function errors(address: string): Promise<void> {
  using client = new GrpcJs(address);
  const key = bytes('grpc-js/errors');
  await assert.rejects(client.unary(KV.method.range, {}), {
    code: status.INVALID_ARGUMENT,
    details: 'etcdserver: key is not provided',
  });
  await assert.rejects(client.unary(KV.method.put, { key, lease: 1n }), {
    code: status.NOT_FOUND,
    details: 'etcdserver: requested lease not found',
  });
  await assert.rejects(client.unary(KV.method.range, { key, revision: 10n ** 9n }), {
    code: status.OUT_OF_RANGE,
  });
}

type Reply = MessageShape<typeof WatchResponseSchema>;

export async function watch(address: string): Promise<void> {
  using client = new GrpcJs(address);
  const key = bytes('grpc-js/watch');
  const stream = client.bidi(Watch.method.watch);
  const ended = new Promise<StatusObject>((resolve) => stream.once('status', resolve));
  const replies = on(stream, 'data') as AsyncIterator<[Reply]>;
  const next = async (): Promise<Reply> => (await replies.next()).value[0];
  const send = (requestUnion: NonNullable<MessageInitShape<typeof WatchRequestSchema>['requestUnion']>) =>
    stream.write(create(WatchRequestSchema, { requestUnion }));
  send({ case: 'createRequest', value: { key, watchId: 7n, prevKv: true } });
  assert.partialDeepStrictEqual(await next(), { created: true, watchId: 7n });
  await client.unary(KV.method.put, { key, value: bytes('1') });
  await client.unary(KV.method.put, { key, value: bytes('2') });
  const [one, two] = [await next(), await next()];
  assert.equal(Buffer.from(one.events[0]?.kv?.value ?? []).toString(), '1');
  assert.equal(Buffer.from(two.events[0]?.prevKv?.value ?? []).toString(), '1');
  send({ case: 'progressRequest', value: {} });
  assert.partialDeepStrictEqual(await next(), { watchId: -1n, events: [] });
  send({ case: 'cancelRequest', value: { watchId: 7n } });
  assert.partialDeepStrictEqual(await next(), { watchId: 7n, canceled: true });
  stream.on('error', () => {}); // what comes of the cancel is in the status
  stream.cancel();
  assert.equal((await ended).code, status.CANCELLED);
}

export async function lease(address: string): Promise<void> {
  using client = new GrpcJs(address);
  const { ID } = await client.unary(Lease.method.leaseGrant, { TTL: 60n });
  const stream = client.bidi(Lease.method.leaseKeepAlive);
  const replies: bigint[] = [];
  stream.on('data', (reply: { readonly TTL: bigint }) => replies.push(reply.TTL));
  const ended = once(stream, 'status');
  for (const id of [ID, ID, 1n]) stream.write(create(LeaseKeepAliveRequestSchema, { ID: id }));
  stream.end();
  assert.equal((await ended)[0].code, status.OK);
  assert.deepEqual(replies, [60n, 60n, 0n]);
  await client.unary(Lease.method.leaseRevoke, { ID });
}

export async function lock(address: string): Promise<void> {
  using client = new GrpcJs(address);
  const { ID } = await client.unary(Lease.method.leaseGrant, { TTL: 60n });
  const other = await client.unary(Lease.method.leaseGrant, { TTL: 60n });
  const name = bytes('grpc-js/lock');
  const held = await client.unary(Lock.method.lock, { name, lease: ID });
  const late = client.unary(Lock.method.lock, { name, lease: other.ID }, {}, { deadline: Date.now() + 300 });
  await assert.rejects(late, { code: status.DEADLINE_EXCEEDED });
  // Both would be the same candidate, whose key goes when etcd hears that the first one has given up.
  await until('one candidate', async () => {
    const { count } = await client.unary(KV.method.range, { key: name, rangeEnd: bytes('grpc-js/lock0') });
    return count === 1n;
  });
  const waiting = client.unary(Lock.method.lock, { name, lease: other.ID });
  await client.unary(Lock.method.unlock, { key: held.key });
  assert.ok((await waiting).key.length > name.length);
  for (const id of [ID, other.ID]) await client.unary(Lease.method.leaseRevoke, { ID: id });
}

export async function snapshot(address: string): Promise<void> {
  using client = new GrpcJs(address);
  const stream = client.serverStream(Maintenance.method.snapshot, {});
  let size = 0;
  for await (const { blob } of stream as AsyncIterable<{ readonly blob: Uint8Array }>) size += blob.length;
  assert.equal(size % 4096, 32, 'pages of a database and a checksum');
}

export async function health(address: string): Promise<void> {
  using client = new GrpcJs(address);
  const answer = await client.unary(Health.method.check, {});
  assert.equal(answer.status, HealthCheckResponse_ServingStatus.SERVING);
}
