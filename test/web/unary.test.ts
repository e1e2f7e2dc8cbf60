/** Unary calls through the web door: what arrives at the service and what comes back to the client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { KV, RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { Call, UnaryHandler } from '../../src/rpc/contract.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { RpcError } from '../../src/rpc/status.ts';
import { METHOD_SCHEMAS, pathOf } from '../../src/web/schemas.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const reply = (count: bigint): Uint8Array =>
  toBinary(RangeResponseSchema, create(RangeResponseSchema, { count, more: true }));
const failing =
  (error: unknown): UnaryHandler =>
  () =>
    Promise.reject(error);
const withRange = (handler: UnaryHandler) => ({ unary: { [RANGE]: handler } });

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error('the call succeeded');
}

test('a call goes to its service and the answer back, in every protocol', async () => {
  const calls: [bytes: Uint8Array, call: Call][] = [];
  await using door = await Door.open(
    withRange((bytes, call) => {
      calls.push([bytes, call]);
      call.responseHeaders = new Metadata(['x-head', 'one', 'x-head', 'two']);
      call.responseTrailers = new Metadata(['x-tail', 'end', 'x-bin', 'AAEC']);
      return reply(7n);
    }),
  );
  for (const [name, transport] of door.transports()) {
    const client = createClient(KV, transport);
    let head: Headers | undefined;
    let tail: Headers | undefined;
    const response = await client.range(
      { key: Buffer.from('k\0ey'), limit: 2n ** 62n },
      {
        headers: { token: 'secret', 'X-Custom': 'a', 'x-custom-bin': 'AAEC' },
        onHeader: (headers) => {
          head = headers;
        },
        onTrailer: (trailers) => {
          tail = trailers;
        },
      },
    );
    assert.equal(response.count, 7n, name);
    assert.equal(response.more, true, name);
    const [bytes, call] = calls.pop() ?? assert.fail(name);
    const request = fromBinary(RangeRequestSchema, bytes);
    assert.deepEqual(Buffer.from(request.key), Buffer.from('k\0ey'), name);
    assert.equal(request.limit, 2n ** 62n, name);
    const { fields } = call.metadata;
    const sorted = Array.from(
      { length: fields.length / 2 },
      (_, i) => `${fields[2 * i]}=${fields[2 * i + 1]}`,
    ).sort();
    assert.deepEqual(sorted, ['token=secret', 'x-custom-bin=AAEC', 'x-custom=a'], name);
    assert.equal(call.deadline, Number.POSITIVE_INFINITY, name);
    assert.equal(call.method.path, RANGE, name);
    assert.equal(head?.get('x-head'), 'one, two', name);
    assert.equal(tail?.get('x-tail'), 'end', name);
    assert.equal(tail?.get('x-bin'), 'AAEC', name);
    const expected = ['started Range', 'received Range', 'sent Range', 'handled Range 0'];
    assert.deepEqual(door.observer.events.splice(0), expected, name);
  }
  assert.deepEqual(door.observer.faults, []);
});

test('fields that the descriptors do not know survive both ways in protobuf formats', async () => {
  const unknown = new BinaryWriter().tag(900, WireType.LengthDelimited).string('from a newer etcd').finish();
  let seen: Uint8Array | undefined;
  await using door = await Door.open(
    withRange((bytes) => {
      seen = bytes;
      return Buffer.concat([reply(1n), unknown]);
    }),
  );
  const request = Buffer.concat([
    toBinary(RangeRequestSchema, create(RangeRequestSchema, { limit: 3n })),
    unknown,
  ]);
  const post = async (type: string, body: Uint8Array<ArrayBuffer>): Promise<Buffer> => {
    const response = await fetch(door.url + RANGE, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    });
    assert.equal(response.status, 200);
    return Buffer.from(await response.arrayBuffer());
  };
  const expected = Buffer.concat([reply(1n), unknown]);
  assert.deepEqual(await post('application/proto', request), expected);
  assert.deepEqual(Buffer.from(seen ?? []), request);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(request.length, 1);
  const answer = await post('application/grpc-web+proto', Buffer.concat([head, request]));
  assert.equal(answer.readUInt32BE(1), expected.length);
  assert.deepEqual(answer.subarray(5, 5 + expected.length), expected);
  assert.deepEqual(Buffer.from(seen ?? []), request);
});

test('reads may be sent by GET, changes may not', async () => {
  await using door = await Door.open(withRange(() => reply(5n)));
  const query = `connect=v1&encoding=json&message=${encodeURIComponent('{"key":"YQ=="}')}`;
  const response = await fetch(`${door.url}${RANGE}?${query}`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  assert.deepEqual(await response.json(), { count: '5', more: true });
  const put = await fetch(`${door.url}/etcdserverpb.KV/Put?${query}`);
  assert.equal(put.status, 405);
  assert.equal(put.headers.get('allow'), 'POST');
  assert.deepEqual(door.observer.events, [
    'started Range',
    'received Range',
    'sent Range',
    'handled Range 0',
  ]);
});

test('code and text of every error arrive unchanged', async () => {
  let next: RpcError = new RpcError(1, '');
  await using door = await Door.open(withRange(() => Promise.reject(next)));
  for (const [name, transport] of door.transports()) {
    const client = createClient(KV, transport);
    for (let code = 1; code <= 16; code++) {
      const text = `etcdserver: "quoted" %41 100% ünï\u{1f600} ${code}`;
      next = new RpcError(code, text);
      const error = await failure(client.range({}));
      assert.equal(error.code, code, name);
      assert.equal(error.rawMessage, text, name);
      assert.equal(door.observer.events.splice(0).at(-1), `handled Range ${code}`, name);
    }
    for (const code of [0, 17, 99, -1, 2 ** 31]) {
      next = new RpcError(code, 'odd');
      const error = await failure(client.range({}));
      // connect-es reports a grpc-status it does not know as INTERNAL; that number is on the wire, see below.
      assert.ok([Code.Unknown, Code.Internal].includes(error.code), `${name} ${code}`);
      door.observer.events.splice(0);
    }
  }
});

test('gRPC-Web carries codes of the future as numbers', async () => {
  await using door = await Door.open(withRange(failing(new RpcError(99, 'odd'))));
  const response = await fetch(door.url + RANGE, {
    method: 'POST',
    headers: { 'content-type': 'application/grpc-web+proto' },
    body: Buffer.alloc(5),
  });
  assert.match(await response.text(), /grpc-status: 99\r\n/);
});

test('error details arrive in every protocol, in gRPC-Web byte for byte', async () => {
  const value = toBinary(AnySchema, create(AnySchema, { typeUrl: 'inner', value: Buffer.from([1, 2, 3]) }));
  const any = toBinary(AnySchema, create(AnySchema, { typeUrl: 'example.com/some.Detail', value }));
  const status = new BinaryWriter()
    .tag(1, WireType.Varint)
    .int32(3)
    .tag(2, WireType.LengthDelimited)
    .string('bad')
    .tag(3, WireType.LengthDelimited)
    .bytes(any)
    .tag(900, WireType.Varint)
    .int32(5)
    .finish();
  const details = Buffer.from(status).toString('base64');
  await using door = await Door.open(withRange(failing(new RpcError(3, 'bad', details))));
  for (const [name, transport] of door.transports()) {
    const error = await failure(createClient(KV, transport).range({}));
    assert.equal(error.code, 3, name);
    assert.equal(error.rawMessage, 'bad', name);
    const [detail] = error.details as { type: string; value: Uint8Array }[];
    assert.equal(detail?.type, 'some.Detail', name);
    assert.deepEqual(Buffer.from(detail?.value ?? []), Buffer.from(value), name);
    if (name.startsWith('gRPC-Web')) {
      assert.equal(error.metadata.get('grpc-status-details-bin'), details, name);
    }
  }
});

test('details that are no google.rpc.Status do no harm', async () => {
  await using door = await Door.open(withRange(failing(new RpcError(5, 'gone', 'GgX/////'))));
  const response = await door.postJson(RANGE, '{}');
  assert.equal(response.status, 404);
  assert.deepEqual(await response.json(), { code: 'not_found', message: 'gone' });
});

test('metadata of a failed call arrives', async () => {
  await using door = await Door.open(
    withRange((_, call) => {
      call.responseHeaders = new Metadata(['x-head', 'h']);
      call.responseTrailers = new Metadata(['x-tail', 't']);
      throw new RpcError(9, 'no');
    }),
  );
  for (const [name, transport] of door.transports()) {
    let head: Headers | undefined;
    let tail: Headers | undefined;
    const error = await failure(
      createClient(KV, transport).range(
        {},
        {
          onHeader: (headers) => {
            head = headers;
          },
          onTrailer: (trailers) => {
            tail = trailers;
          },
        },
      ),
    );
    const all = [...(head ?? []), ...(tail ?? []), ...error.metadata].join(';');
    assert.match(all, /x-head,h/, name);
    assert.match(all, /x-tail,t/, name);
  }
});

test('a fault of the program is INTERNAL without its text, and reported', async () => {
  const fault = new Error('secret');
  await using door = await Door.open(withRange(failing(fault)));
  for (const [name, transport] of door.transports()) {
    const error = await failure(createClient(KV, transport).range({}));
    assert.equal(error.code, Code.Internal, name);
    assert.doesNotMatch(error.message, /secret/, name);
    assert.deepEqual(door.observer.faults.splice(0), [fault], name);
    assert.equal(door.observer.events.splice(0).at(-1), 'handled Range 13', name);
  }
});

test('a response that is no message is INTERNAL, and no fault of the program', async () => {
  await using door = await Door.open(withRange(() => Buffer.from([0x0a, 0x7f])));
  const response = await door.postJson(RANGE, '{}');
  assert.equal(response.status, 500);
  assert.deepEqual(await response.json(), {
    code: 'internal',
    message: "etcd-connect-proxy: etcd's reply is no etcdserverpb.RangeResponse",
  });
  assert.deepEqual(door.observer.faults, []);
  assert.deepEqual(door.observer.events.slice(-2), ['malformed Range', 'handled Range 13']);
});

test('a method without a handler is UNIMPLEMENTED', async () => {
  await using door = await Door.open({});
  const response = await door.postJson(RANGE, '{}');
  assert.equal(response.status, 501);
});

test('the deadline reaches the service and ends the call', async () => {
  const deadlines: number[] = [];
  let cancelled = 0;
  await using door = await Door.open(
    withRange((_, call) => {
      deadlines.push(call.deadline - performance.now());
      call.work = { cancel: () => cancelled++ };
      return new Promise(() => {});
    }),
  );
  // All at once, so that there is time for each to reach its service before its deadline.
  const transports = door.transports();
  const ends = transports.map(async ([name, transport]) => {
    const response = createClient(KV, transport).range({}, { timeoutMs: 4000 });
    assert.equal((await failure(response)).code, Code.DeadlineExceeded, name);
  });
  await Promise.all(ends);
  await until(
    () => `${cancelled} of ${deadlines.length} are cancelled`,
    () => cancelled === transports.length,
  );
  assert.equal(deadlines.length, transports.length);
  for (const deadline of deadlines) assert.ok(deadline > 0 && deadline <= 4001, String(deadline));
  const handled = (): string[] => door.observer.events.filter((event) => event.startsWith('handled'));
  await until('their ends', () => handled().length === transports.length);
  for (const event of handled()) assert.match(event, /^handled Range [14]$/);
  assert.equal(door.observer.events.length, 3 * transports.length);
  assert.equal(cancelled, transports.length, 'each once');
  const raw = await door.postJson(RANGE, '{}', { 'connect-timeout-ms': '20' });
  assert.equal(raw.status, 504);
  assert.deepEqual(await raw.json(), { code: 'deadline_exceeded', message: 'context deadline exceeded' });
  assert.deepEqual(door.observer.faults, []);
});

test('a deadline in the far future is no deadline, one in the past ends the call at once', async () => {
  let calls = 0;
  await using door = await Door.open(
    withRange(() => {
      calls++;
      return reply(1n);
    }),
  );
  const far = await door.postJson(RANGE, '{}', { 'connect-timeout-ms': '9999999999' });
  assert.equal(far.status, 200);
  const web = await fetch(door.url + RANGE, {
    method: 'POST',
    headers: { 'content-type': 'application/grpc-web+proto', 'grpc-timeout': '99999999H' },
    body: Buffer.alloc(5),
  });
  assert.match(await web.text(), /grpc-status: 0/);
  assert.equal(calls, 2);
  const past = await door.postJson(RANGE, '{}', { 'connect-timeout-ms': '0' });
  assert.equal(past.status, 504);
  assert.equal(calls, 2);
  assert.equal(door.observer.events.at(-1), 'handled Range 4');
  for (let i = 0; i < 100; i++) {
    const late = await fetch(door.url + RANGE, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc-web+proto', 'grpc-timeout': '1n' },
      body: Buffer.alloc(5),
    });
    assert.match(`${[...late.headers].join()} ${await late.text()}`, /grpc-status[,:] ?4/);
  }
  assert.equal(calls, 2);
});

test('a client that goes away cancels the work on its call', async () => {
  let working = 0;
  let cancelled = 0;
  await using door = await Door.open(
    withRange((_, call) => {
      working++;
      call.work = { cancel: () => cancelled++ };
      return new Promise(() => {});
    }),
  );
  for (const [index, [name, transport]] of door.transports().entries()) {
    const abort = new AbortController();
    const call = failure(createClient(KV, transport).range({}, { signal: abort.signal }));
    await until(name, () => working === index + 1);
    abort.abort();
    assert.equal((await call).code, Code.Canceled, name);
    await until(`${name}: cancel`, () => cancelled === index + 1);
    await until(name, () => door.observer.events.splice(0).at(-1) === 'handled Range 1');
  }
  assert.deepEqual(door.observer.faults, []);
});

test('requests may be compressed with gzip; small responses are not', async () => {
  let size = 0;
  await using door = await Door.open(
    withRange((bytes) => {
      size = bytes.length;
      return reply(1n);
    }),
  );
  const body = gzipSync(JSON.stringify({ key: Buffer.alloc(9000).toString('base64') }));
  const response = await fetch(door.url + RANGE, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip', 'accept-encoding': 'gzip' },
    body,
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-encoding'), null);
  assert.ok(size > 9000);
});

test('each path is that of its service, whatever other paths begin like it', async () => {
  const paths = METHOD_SCHEMAS.filter(({ methodKind }) => methodKind === 'unary').map(pathOf);
  const unary = Object.fromEntries(paths.map((path) => [path, () => Buffer.alloc(0)]));
  await using door = await Door.open({ unary });
  for (const path of paths) {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${door.url}${path}`, { method: 'POST', headers, body: '{}' });
    assert.deepEqual([path, response.status, await response.text()], [path, 200, '{}']);
  }
  assert.ok(
    paths.some((path) => path.startsWith('/v3')),
    'some begin like those of the JSON API',
  );
});
