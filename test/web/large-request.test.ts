/** Large requests through the web door: they arrive as they were meant, and are read on another thread. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create, fromBinary, toBinary, toJsonString } from '@bufbuild/protobuf';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { Code } from '../../src/rpc/status.ts';
import { MessageDecoder } from '../../src/web/message-decoder.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const PUT = '/etcdserverpb.KV/Put';
const TXN = '/etcdserverpb.KV/Txn';
const OBSERVE = '/v3electionpb.Election/Observe';
const MAX = 32 << 20;

const key = Buffer.alloc(3 << 20, 'k');
const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key, limit: 5n }));
const text = toJsonString(RangeRequestSchema, fromBinary(RangeRequestSchema, request));
const enveloped = (message: Uint8Array, flag = 0) => {
  const head = Buffer.of(flag, 0, 0, 0, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};
const asText = (bytes: Uint8Array) => Buffer.from(Buffer.from(bytes).toString('base64'));
const forms: readonly (readonly [string, Record<string, string>, Uint8Array])[] = [
  ['JSON', { 'content-type': 'application/json' }, Buffer.from(text)],
  ['protobuf', { 'content-type': 'application/proto' }, request],
  ['JSON, packed', { 'content-type': 'application/json', 'content-encoding': 'gzip' }, gzipSync(text)],
  [
    'protobuf, packed',
    { 'content-type': 'application/proto', 'content-encoding': 'gzip' },
    gzipSync(request),
  ],
  ['gRPC-Web', { 'content-type': 'application/grpc-web+proto' }, enveloped(request)],
  ['gRPC-Web with JSON', { 'content-type': 'application/grpc-web+json' }, enveloped(Buffer.from(text))],
  [
    'gRPC-Web, packed',
    { 'content-type': 'application/grpc-web+proto', 'grpc-encoding': 'gzip' },
    enveloped(gzipSync(request), 1),
  ],
  ['gRPC-Web as text', { 'content-type': 'application/grpc-web-text' }, asText(enveloped(request))],
  [
    'gRPC-Web as text, packed',
    { 'content-type': 'application/grpc-web-text+proto', 'grpc-encoding': 'gzip' },
    asText(enveloped(gzipSync(request), 1)),
  ],
];
for (const [name, headers, body] of forms)
  test(`${name}: arrives as it was meant`, async () => {
    let got: Uint8Array | undefined;
    const answer = toBinary(RangeResponseSchema, create(RangeResponseSchema, { count: 3n }));
    const range = (bytes: Uint8Array) => {
      got = bytes;
      return answer;
    };
    await using door = await Door.open({ unary: { [RANGE]: range } }, { maxRequestBytes: 8 << 20 });
    const response = await fetch(door.url + RANGE, {
      method: 'POST',
      headers,
      body: body as Uint8Array<ArrayBuffer>,
    });
    const reply = await response.text();
    assert.equal(response.status, 200, reply);
    assert.ok(got !== undefined && Buffer.from(got).equals(request), name);
    if (headers['content-type'] === 'application/json') assert.equal(reply, '{"count":"3"}');
  });

describe('whatever it says of itself, Connect reads no more than a small one', () => {
  /** Fields that nobody knows, two bytes each: every one would be an object. */
  const fields = Buffer.from('7800'.repeat(512 << 10), 'hex');
  const packed = gzipSync(fields);
  const query = `${RANGE}?connect=v1&encoding=proto&base64=1&message=${packed.toString('base64url')}&compression=gzip`;
  const web = { 'content-type': 'application/grpc-web+proto' };
  const cases: readonly (readonly [string, string, Record<string, string>, Uint8Array | undefined])[] = [
    ['in the URL', query, {}, undefined],
    ['flags that there are not', RANGE, { ...web, 'grpc-encoding': 'gzip' }, enveloped(packed, 5)],
    ['such flags, not packed', RANGE, web, enveloped(fields, 4)],
    ['two messages', RANGE, web, Buffer.concat([enveloped(fields), enveloped(Buffer.alloc(0))])],
    ['a length that is too short', RANGE, web, Buffer.concat([enveloped(fields), Buffer.alloc(1)])],
    [
      'a type in capitals',
      RANGE,
      { 'content-type': 'Application/Proto', 'content-encoding': 'gzip' },
      packed,
    ],
    [
      'a stream of Connect in capitals',
      OBSERVE,
      { 'content-type': 'Application/Connect+proto', 'connect-content-encoding': 'gzip' },
      enveloped(packed, 1),
    ],
  ];
  for (const [name, path, headers, body] of cases)
    test(name, async () => {
      let most = 0;
      const note = (bytes: Uint8Array) => {
        most = Math.max(most, bytes.length);
        return new Uint8Array();
      };
      const observe = (client: ServerStream) => {
        const onMessage = (bytes: Uint8Array) => {
          note(bytes);
          client.end({ code: Code.OK, message: '' });
        };
        client.listener = { onMessage, onHalfClose() {}, onDrain() {}, onCancel() {} };
      };
      const services = { unary: { [RANGE]: note }, stream: { [OBSERVE]: observe } };
      await using door = await Door.open(services, { maxRequestBytes: MAX });
      const before = process.memoryUsage().heapUsed;
      const response = await fetch(door.url + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers,
        ...(body && { body: body as Uint8Array<ArrayBuffer> }),
      });
      const text = await response.text();
      const told = `${response.status} ${response.headers.get('grpc-status')} ${text.slice(0, 200)}`;
      const grown = process.memoryUsage().heapUsed - before;
      assert.ok(grown < 40 << 20, `${grown >> 20} MiB for objects: ${told}`);
      // What is in order is read on another thread, as it was meant.
      if (most > 0) assert.equal(most, fields.length);
      else assert.match(told, /resource_exhausted|grpc-status: 8/);
      assert.deepEqual(door.observer.faults, []);
    });
});

test('what is wrong with it is said as for a small one', async () => {
  await using door = await Door.open(
    { unary: { [PUT]: () => new Uint8Array() } },
    { maxRequestBytes: 4 << 20 },
  );
  const post = async (headers: Record<string, string>, body: Uint8Array | string) => {
    const response = await fetch(door.url + PUT, {
      method: 'POST',
      headers,
      body: body as Uint8Array<ArrayBuffer>,
    });
    return { status: response.status, ...((await response.json()) as { code: string; message: string }) };
  };
  const json = { 'content-type': 'application/json' };
  for (const broken of ['{"key":5,"value":"VALUE"}', '{"value":"VALUE"', '{"lease":"VALUE"}']) {
    const large = await post(json, broken.replace('VALUE', 'QUFB'.repeat(100_000)));
    const small = await post(json, broken.replace('VALUE', 'QUFB'));
    const shorter = (text: string) => text.replaceAll(/(QUFB)+/g, 'QUFB').slice(0, 40);
    assert.deepEqual(
      { ...large, message: shorter(large.message) },
      { ...small, message: shorter(small.message) },
    );
  }
  const bytes = await post({ 'content-type': 'application/proto' }, Buffer.alloc(1 << 20, 0xff));
  assert.deepEqual([bytes.status, bytes.code], [400, 'invalid_argument']);
  const zipped = { ...json, 'content-encoding': 'gzip' };
  const bomb = await post(zipped, gzipSync(Buffer.alloc(100 << 20)));
  assert.equal(bomb.code, 'resource_exhausted');
  const long = await post(json, Buffer.alloc(13 << 20, ' '));
  assert.equal(long.code, 'resource_exhausted');
  const garbage = await post(zipped, Buffer.alloc(1 << 20));
  assert.equal(garbage.code, 'invalid_argument');
  assert.deepEqual(door.observer.faults, []);
});

test('those that wait to be read go with their clients', async () => {
  const decoder = new MessageDecoder();
  const question = (objects: number) => {
    const bytes = Uint8Array.from(Buffer.from(`{"success":[${'{},'.repeat(objects)}{}]}`));
    return { path: TXN, form: 'json', bytes } as const;
  };
  const client = new AbortController();
  const patient = new AbortController();
  const first = decoder.decode({}, question(100_000), patient.signal);
  const gone = decoder.decode({}, question(100_000), client.signal);
  const last = decoder.decode({}, question(1), patient.signal);
  client.abort();
  await assert.rejects(gone, { code: Code.CANCELLED, message: 'the client is gone' });
  assert.ok(decoder.waitingBytes < 1000, `${decoder.waitingBytes} bytes still wait`);
  await assert.rejects(decoder.decode({}, question(1), client.signal), { code: 1 });
  assert.ok((await first).length > 0);
  assert.ok((await last).length > 0);
});

test('one of more than a million objects takes no memory of the process, and the next one is read', {
  timeout: 120_000,
}, async () => {
  let calls = 0;
  const txn = () => {
    calls++;
    return new Uint8Array();
  };
  await using door = await Door.open({ unary: { [TXN]: txn } }, { maxRequestBytes: 20 << 20 });
  const post = async (body: string) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(door.url + TXN, { method: 'POST', headers, body });
    return ((await response.json()) as { code?: string }).code;
  };
  const before = process.memoryUsage().heapUsed;
  assert.equal(await post(`{"success":[${'{},'.repeat(1_200_000)}{}]}`), 'resource_exhausted');
  assert.ok(process.memoryUsage().heapUsed - before < 200 << 20);
  assert.equal(await post(`{"success":[${'{},'.repeat(100_000)}{}]}`), undefined);
  assert.equal(calls, 1);
});
