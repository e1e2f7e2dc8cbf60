/** Large replies through the web door: the same bytes as small ones, in pieces. */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { create, fromBinary, toBinary, toJsonString } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { KV, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';

const kvs = Array.from({ length: 60_000 }, (_, n) => ({
  key: Buffer.from(`key ${n}`),
  value: Buffer.alloc(200, n),
  modRevision: BigInt(n),
}));
const reply = toBinary(
  RangeResponseSchema,
  create(RangeResponseSchema, { header: { revision: 7n }, kvs, count: 9n }),
);
const json = toJsonString(RangeResponseSchema, fromBinary(RangeResponseSchema, reply));

function open(): Promise<Door> {
  return Door.open({ unary: { [RANGE]: () => reply } });
}

const post = async (door: Door, headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>) => {
  const response = await fetch(door.url + RANGE, { method: 'POST', headers, body });
  assert.equal(response.status, 200);
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
};
const small = Buffer.alloc(5);

test('as JSON', async () => {
  await using door = await open();
  const { response, bytes } = await post(
    door,
    { 'content-type': 'application/json', 'accept-encoding': 'identity' },
    '{}',
  );
  assert.ok(bytes.toString() === json);
  assert.equal(response.headers.get('content-type'), 'application/json');
  const packed = await post(door, { 'content-type': 'application/json', 'accept-encoding': 'gzip' }, '{}');
  assert.equal(packed.response.headers.get('content-encoding'), 'gzip');
  assert.ok(packed.bytes.toString() === json);
});

test('as protobuf: the very bytes', async () => {
  await using door = await open();
  const { bytes } = await post(
    door,
    { 'content-type': 'application/proto', 'accept-encoding': 'identity' },
    '',
  );
  assert.ok(bytes.equals(reply));
});

test('in gRPC-Web, with JSON or without, packed or not', async () => {
  await using door = await open();
  for (const [type, expected] of [
    ['application/grpc-web+proto', reply],
    ['application/grpc-web+json', Buffer.from(json)],
  ] as const)
    for (const accept of ['identity', 'gzip']) {
      const headers = { 'content-type': type, 'grpc-accept-encoding': accept };
      const body = type.endsWith('json')
        ? Buffer.concat([Buffer.of(0, 0, 0, 0, 2), Buffer.from('{}')])
        : small;
      const { bytes } = await post(door, headers, body);
      const length = bytes.readUInt32BE(1);
      const message = bytes.subarray(5, 5 + length);
      assert.equal(bytes[0], accept === 'gzip' ? 1 : 0);
      assert.ok((accept === 'gzip' ? gunzipSync(message) : message).equals(expected), `${type} ${accept}`);
      assert.match(bytes.subarray(5 + length).toString('latin1'), /^\x80....grpc-status: 0/s);
    }
});

test('every kind of client reads it', async () => {
  await using door = await open();
  for (const [name, transport] of door.transports()) {
    const { kvs: got, count } = await createClient(KV, transport).range({});
    assert.equal(got.length, kvs.length, name);
    assert.equal(count, 9n, name);
  }
});

test('others have their turns meanwhile', async (t) => {
  await using door = await open();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const response = await fetch(door.url + RANGE, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  let pieces = 0;
  delay.enable();
  for await (const _piece of response.body as unknown as AsyncIterable<Uint8Array>) pieces++;
  delay.disable();
  t.diagnostic(`longest turn ${(delay.max / 1e6).toFixed(0)} ms, ${pieces} pieces`);
  assert.ok(pieces > 20);
  assert.deepEqual(door.observer.faults, []);
});
