/** Streaming reads of many clients on a real etcd that has them: what they cost it, and that each gets everything. */
import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  RangeRequestSchema,
  RangeResponseSchema,
  RangeStreamResponseSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import type { KeyValue } from '#gen/mvccpb/kv_pb.js';
import { envelope, openStream } from '../streams/raw-stream.ts';
import { atLeast, newestEtcd, startEtcd } from '../support/etcd.ts';
import { etcdMetric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { b, put } from '../support/watch-client.ts';

const RANGE = '/etcdserverpb.KV/Range';
const RANGE_STREAM = '/etcdserverpb.KV/RangeStream';
const CLIENTS = 100;
/** More than the windows of a stream on both sides of the proxy, so that a client that does not read is noticed. */
const KEYS = 80;
const VALUE = 'v'.repeat(256 << 10);

const install = await newestEtcd();
const skip = !atLeast(install, 3, 7) && `etcd ${install.version} has no RangeStream`;

/** How many streaming reads an etcd has begun. */
const begun = (url: string): Promise<number> =>
  etcdMetric(
    url,
    'grpc_server_started_total{grpc_method="RangeStream",grpc_service="etcdserverpb.KV",grpc_type="server_stream"}',
  );

const keysOf = (kvs: readonly KeyValue[]): string[] =>
  kvs.map(({ key, value, modRevision }) => `${Buffer.from(key)} ${value.length} ${modRevision}`);

test('clients share streaming reads, and one that stops reading holds up nobody', { skip }, async () => {
  await using held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd({ install }));
  const relay = held.use(await Relay.open(etcd.first.address, { delayMs: 20 }));
  const proxy = held.use(await startProxy({ endpoints: [relay.address] }));
  const direct = held.use(new RawGrpcClient(etcd.first.address));
  for (let i = 0; i < KEYS; i++) await put(direct, `shared/${String(i).padStart(3, '0')}`, VALUE);
  const keys = { key: b('shared/'), rangeEnd: b('shared0') };
  const whole = toBinary(RangeRequestSchema, create(RangeRequestSchema, keys));
  const few = toBinary(RangeRequestSchema, create(RangeRequestSchema, { ...keys, keysOnly: true }));
  const { messages } = await direct.call(RANGE, [whole]);
  const wanted = keysOf(fromBinary(RangeResponseSchema, messages[0] as Uint8Array).kvs);
  const clients = Array.from({ length: 4 }, () => held.use(new RawGrpcClient(proxy.address)));
  const clientOf = (i: number) => clients[i % clients.length] as RawGrpcClient;

  const before = await begun(etcd.first.metricsUrl);
  const read = await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) => clientOf(i).call(RANGE_STREAM, [few])),
  );
  for (const { code, messages: pieces } of read) {
    assert.equal(code, 0);
    assert.equal(allOf(pieces).length, KEYS);
  }
  const cost = (await begun(etcd.first.metricsUrl)) - before;
  assert.ok(cost >= 2 && cost <= 10, `${cost} calls for ${CLIENTS} clients at once`);

  // The first is sent at once; the others share the next call, with one among them that reads nothing.
  const alone = clientOf(0).call(RANGE_STREAM, [whole]);
  using stopped = openStream(proxy.url, RANGE_STREAM);
  stopped.stream.end(envelope(whole));
  const others = [2, 3, 2, 3].map((i) => clientOf(i).call(RANGE_STREAM, [whole]));
  for (const { code, messages: pieces } of await Promise.all([alone, ...others])) {
    assert.equal(code, 0);
    assert.deepEqual(keysOf(allOf(pieces)), wanted);
  }
  const late = await wholeOf(stopped.stream);
  assert.deepEqual(keysOf(allOf(late)), wanted);
});

/** Reads what a client was sent that has not read until now. */
async function wholeOf(stream: Readable): Promise<Uint8Array[]> {
  let bytes = Buffer.concat(await stream.toArray());
  const messages: Uint8Array[] = [];
  while (bytes.length > 0) {
    const end = 5 + bytes.readUInt32BE(1);
    messages.push(bytes.subarray(5, end));
    bytes = bytes.subarray(end);
  }
  return messages;
}

function allOf(pieces: readonly Uint8Array[]): KeyValue[] {
  return pieces.flatMap((piece) => fromBinary(RangeStreamResponseSchema, piece).rangeResponse?.kvs ?? []);
}
