/** Keys over plain HTTP before services that a test makes up: clients that go, odd replies, silence, pages, and noise. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { test } from 'node:test';
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { RangeResponseSchema, TxnResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { LeaseGrantResponseSchema, LeaseRevokeRequestSchema } from '#gen/etcdserverpb/lease_pb.js';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import type { ServerStream, StreamHandler, UnaryHandler } from '../../src/rpc/contract.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { DEFAULT_LIMITS } from '../../src/web/options.ts';
import { collectGarbage } from '../support/garbage.ts';
import { until } from '../support/until.ts';
import { type Asked, ask, EventStream } from './kv/ask.ts';
import { Door } from './support.ts';

const [RANGE, PUT, DELETE, TXN] = ['Range', 'Put', 'DeleteRange', 'Txn'].map(
  (name) => `/etcdserverpb.KV/${name}`,
) as [string, string, string, string];
const [GRANT, REVOKE] = ['/etcdserverpb.Lease/LeaseGrant', '/etcdserverpb.Lease/LeaseRevoke'] as const;
const WATCH = '/etcdserverpb.Watch/Watch';
const NOTHING = new Uint8Array(0);

const encoded = <S extends DescMessage>(schema: S, message: MessageInitShape<S>): Uint8Array =>
  toBinary(schema, create(schema, message));
const response = (message: MessageInitShape<typeof WatchResponseSchema>): Uint8Array =>
  encoded(WatchResponseSchema, message);
const put = (key: string, revision: bigint) => ({ kv: { key: Buffer.from(key), modRevision: revision } });

/** Keeps the client's side of the only watch. */
class Watched {
  client: ServerStream | undefined;
  cancelled = false;

  readonly handler: StreamHandler = (client) => {
    this.client = client;
    const ignore = (): void => {};
    const onCancel = (): void => {
      this.cancelled = true;
    };
    client.listener = { onMessage: ignore, onHalfClose: ignore, onDrain: ignore, onCancel };
  };

  async send(...responses: readonly Uint8Array[]): Promise<void> {
    await until('the watch', () => this.client !== undefined);
    for (const message of responses) this.client?.send(message);
  }
}

async function watching(
  base: string,
  path: string,
  first: Uint8Array,
  watched: Watched,
): Promise<EventStream> {
  const stream = new EventStream(base, path);
  await watched.send(first);
  return await stream.begun();
}

/** Notes which leases were revoked; whatever else is called comes from the test. */
function leasing(services: Readonly<Record<string, UnaryHandler>>) {
  const revoked: bigint[] = [];
  const revoke: UnaryHandler = (request) => {
    revoked.push(fromBinary(LeaseRevokeRequestSchema, request).ID);
    return NOTHING;
  };
  const grant: UnaryHandler = () => encoded(LeaseGrantResponseSchema, { ID: 77n, TTL: 5n });
  return { revoked, services: { unary: { [GRANT]: grant, [REVOKE]: revoke, ...services } } };
}

test('a client that goes while its lease is granted leaves none, and nothing is put', async () => {
  const granted = Promise.withResolvers<Uint8Array>();
  let asked = false;
  const { revoked, services } = leasing({
    [GRANT]: () => {
      asked = true;
      return granted.promise;
    },
    [PUT]: () => assert.fail('put'),
  });
  let closed = false;
  await using door = await Door.open(services, {}, ({ web }) => {
    web.app.addHook('onRequest', (_, reply, done) => {
      reply.raw.once('close', () => {
        closed = true;
      });
      done();
    });
  });
  const gone = new AbortController();
  const answer = fetch(`${door.url}/kv/a?ttl=5`, { method: 'PUT', body: 'x', signal: gone.signal });
  await until('the question', () => asked);
  gone.abort();
  await assert.rejects(answer);
  await until('the end of the request', () => closed);
  granted.resolve(encoded(LeaseGrantResponseSchema, { ID: 77n }));
  await until('the revocation', () => revoked.length === 1);
  assert.deepEqual(revoked, [77n]);
  assert.deepEqual(door.observer.faults, []);
});

test('a client that goes while its value is put ends the put and its lease', async () => {
  let cancelled = false;
  let asked = false;
  const { revoked, services } = leasing({
    [PUT]: (_, call) => {
      asked = true;
      return new Promise((_, reject) => {
        call.work = {
          cancel: () => {
            cancelled = true;
            reject(RpcError.cancelled());
          },
        };
      });
    },
  });
  await using door = await Door.open(services);
  const gone = new AbortController();
  const answer = fetch(`${door.url}/kv/a?ttl=5`, { method: 'PUT', body: 'x', signal: gone.signal });
  await until('the question', () => asked);
  gone.abort();
  await assert.rejects(answer);
  await until('the revocation', () => revoked.length === 1);
  assert.ok(cancelled);
  assert.deepEqual(door.observer.events, ['started Put', 'received Put', 'handled Put 1']);
});

test('a put that fails says why, whatever becomes of its lease', async () => {
  const fails: UnaryHandler = () => Promise.reject(new RpcError(Code.UNAVAILABLE, 'no etcd'));
  const { revoked, services } = leasing({ [PUT]: fails });
  await using door = await Door.open(services);
  const answer = await ask(door.url, { method: 'PUT', path: '/kv/a?ttl=5', body: 'x' });
  assert.deepEqual([answer.status, revoked], [503, [77n]]);
  assert.deepEqual(JSON.parse(answer.text), { error: 'no etcd', code: 14, message: 'no etcd' });
  const { services: unrevocable } = leasing({ [PUT]: fails, [REVOKE]: fails });
  await using other = await Door.open(unrevocable);
  assert.equal((await ask(other.url, { method: 'PUT', path: '/kv/a?ttl=5', body: 'x' })).status, 503);
  const { services: ungranted } = leasing({ [GRANT]: fails, [PUT]: () => assert.fail('put') });
  await using third = await Door.open(ungranted);
  assert.equal((await ask(third.url, { method: 'PUT', path: '/kv/a?ttl=5', body: 'x' })).status, 503);
  for (const { observer } of [door, other, third]) assert.deepEqual(observer.faults, []);
});

test('a condition on one of several revisions is tried again when the key has become another of them', async () => {
  const states = [5n, 7n];
  const compared: string[] = [];
  const range = (revision: bigint) => ({ kvs: [{ key: Buffer.from('a'), modRevision: revision }] });
  await using door = await Door.open({
    unary: {
      [RANGE]: () => encoded(RangeResponseSchema, range(3n)),
      [TXN]: (request) => {
        compared.push(Buffer.from(request).toString('latin1'));
        const now = states.shift();
        if (now === undefined)
          return encoded(TxnResponseSchema, { succeeded: true, header: { revision: 9n } });
        const value = range(now);
        return encoded(TxnResponseSchema, { responses: [{ response: { case: 'responseRange', value } }] });
      },
    },
  });
  const headers = { 'if-match': '"3", "5", "7"' };
  const answer = await ask(door.url, { method: 'PUT', path: '/kv/a', headers, body: 'x' });
  assert.deepEqual([answer.status, answer.headers.etag, compared.length], [204, '"9"', 3]);
});

test('replies that are no messages are faults of etcd and not of the proxy', async () => {
  const odd = () => Buffer.of(0x0a, 0xff);
  const watched = new Watched();
  await using door = await Door.open({
    unary: { [RANGE]: odd, [PUT]: odd, [DELETE]: odd, [TXN]: odd, [GRANT]: odd },
    stream: { [WATCH]: watched.handler },
  });
  const cases: readonly Asked[] = [
    { path: '/kv/a' },
    { path: '/kv/a?prefix' },
    { path: '/watch/a?snapshot' },
    { method: 'PUT', path: '/kv/a', body: 'x' },
    { method: 'PUT', path: '/kv/a?ttl=1', body: 'x' },
    { method: 'DELETE', path: '/kv/a' },
    { method: 'DELETE', path: '/kv/a', headers: { 'if-match': '*' } },
  ];
  for (const asked of cases) {
    const { status, text } = await ask(door.url, asked);
    assert.equal(status, 500, asked.path);
    assert.match(text, /"code":13,"message":"etcd-connect-proxy: etcd's reply is no etcdserverpb\.\w+"/);
  }
  const stream = await watching(
    door.url,
    '/watch/a',
    response({ created: true, header: { revision: 3n } }),
    watched,
  );
  await watched.send(Buffer.of(0x5a, 0xff));
  await until('the end', () => stream.ended);
  assert.match(stream.text, /^id: 3\n\nevent: error\ndata: \{"error":"etcd-connect-proxy: etcd's reply/);
  assert.deepEqual(door.observer.faults, []);
});

test('a watch tells how it ends, and what its client has seen meanwhile', async () => {
  const watched = new Watched();
  await using door = await Door.open(
    { stream: { [WATCH]: watched.handler } },
    { limits: { ...DEFAULT_LIMITS, heartbeatMs: 5 } },
  );
  const created = response({ created: true, header: { revision: 3n } });
  const stream = await watching(door.url, '/watch/a', created, watched);
  await until('heartbeats', () => stream.comments > 2);
  await watched.send(response({ header: { revision: 8n } }));
  await until('progress', () => stream.lastId === '8');
  // The first part of a revision: who has this must get it again.
  await watched.send(response({ fragment: true, events: [put('a', 8n), put('b', 9n)] }));
  await stream.atLeast(2);
  assert.equal(stream.lastId, '8');
  await watched.send(response({ events: [put('c', 9n)] }));
  await until('the rest', () => stream.lastId === '9');
  assert.deepEqual(
    stream.events.map(({ id, data }) => [id, data.key]),
    [
      ['8', 'a'],
      [undefined, 'b'],
      ['9', 'c'],
    ],
  );
  watched.client?.end(new RpcError(Code.UNAVAILABLE, 'no etcd'));
  const { name, data } = (await stream.atLeast(4))[3] ?? {};
  assert.deepEqual([name, data], ['error', { error: 'no etcd', code: 14, message: 'no etcd' }]);
  await until('the end', () => stream.ended);
  assert.equal(door.observer.events.at(-1), 'handled Watch 14');
});

test('a watch that is refused has a status of HTTP, and one that ends later an event', async () => {
  for (const [reason, status, code, message] of [
    [
      'rpc error: code = PermissionDenied desc = etcdserver: permission denied',
      403,
      7,
      'etcdserver: permission denied',
    ],
    ['something', 500, 2, 'something'],
    ['', 500, 2, 'etcd-connect-proxy: etcd has ended the watch'],
  ] as const) {
    const refused = response({ created: true, canceled: true, cancelReason: reason });
    const early = new Watched();
    await using door = await Door.open({ stream: { [WATCH]: early.handler } });
    const answer = ask(door.url, { path: '/watch/a' });
    await early.send(refused);
    assert.equal((await answer).status, status);
    const body = { error: message, code, message };
    assert.deepEqual(JSON.parse((await answer).text), body);
    const later = new Watched();
    await using other = await Door.open({ stream: { [WATCH]: later.handler } });
    const stream = await watching(
      other.url,
      '/watch/a',
      response({ created: true, header: { revision: 1n } }),
      later,
    );
    await later.send(response({ canceled: true, cancelReason: reason }));
    assert.deepEqual((await stream.atLeast(1))[0], { name: 'error', id: undefined, data: body });
    await until('the end', () => stream.ended && later.cancelled);
  }
});

test('pages: only those that may, and only by names of the proxy, with or without an Origin', async () => {
  const calls: string[] = [];
  const counted: UnaryHandler = (_, { method }) => {
    calls.push(method.name);
    return NOTHING;
  };
  const options = {
    corsAllowedOrigins: ['https://app.example'],
    isOwnHost: (name: string) => name === 'proxy.example',
  };
  await using door = await Door.open(
    { unary: { [RANGE]: counted, [PUT]: counted, [DELETE]: counted } },
    options,
  );
  for (const [method, path, headers, status] of [
    ['GET', '/kv/a', { host: 'evil.example' }, 421],
    ['GET', '/kv/a?prefix', { host: 'evil.example' }, 421],
    ['GET', '/%6bv/a', {}, 404],
    ['GET', 'http://evil.example/kv/a', { host: 'evil.example' }, 421],
    ['GET', '/watch/a', { host: 'evil.example' }, 421],
    ['PUT', '/kv/a', { host: 'evil.example' }, 421],
    ['DELETE', '/kv/a', { host: 'evil.example' }, 421],
    ['OPTIONS', '/kv/a', { host: 'evil.example' }, 400],
    ['PUT', '/kv/a', { origin: 'https://evil.example' }, 403],
    ['GET', '/watch/a', { origin: 'https://evil.example' }, 403],
    ['GET', '/kv/a', { origin: 'null' }, 403],
    ['GET', '/kv/a', { host: 'proxy.example', origin: 'https://app.example' }, 404],
    ['PUT', '/kv/a', { host: 'proxy.example', origin: 'http://proxy.example' }, 204],
    ['PUT', '/kv/a', { origin: 'https://app.example' }, 204],
  ] as const) {
    calls.length = 0;
    const answer = await ask(door.url, { method, path, headers });
    assert.equal(answer.status, status, `${method} ${path} ${JSON.stringify(headers)}`);
    assert.equal(calls.length, status === 204 || (status === 404 && path === '/kv/a') ? 1 : 0);
  }
  const preflight = await ask(door.url, {
    method: 'OPTIONS',
    path: '/kv/a%ff/../b',
    headers: {
      origin: 'https://app.example',
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'if-match,authorization',
    },
  });
  assert.equal(preflight.status, 204);
  assert.match(String(preflight.headers['access-control-allow-methods']), /PUT.*DELETE/);
  assert.equal(preflight.headers['access-control-allow-headers'], 'if-match,authorization');
  const called = await ask(door.url, { path: '/kv/a', headers: { origin: 'https://app.example' } });
  assert.match(String(called.headers['access-control-expose-headers']), /ETag, Link/);
  assert.match(String(called.headers.vary), /Origin.*Authorization/);
});

const texts = fc.string({ unit: fc.constantFrom(...'%/.?&=+;~ab09"\'<>*:,\\[]{}|^`@!$()-_'), maxLength: 30 });
const requests = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'POST', 'OPTIONS', 'PATCH'),
  place: fc.constantFrom('/kv', '/kv/', '/kv/a', '/watch/', '/watch', '//kv/', '/kv//'),
  rest: texts,
  name: fc.constantFrom(
    'prefix',
    'keys',
    'revision',
    'limit',
    'after',
    'serializable',
    'lease',
    'ttl',
    'snapshot',
  ),
  value: texts,
  field: fc.constantFrom(
    'if-match',
    'if-none-match',
    'accept',
    'last-event-id',
    'content-type',
    'content-encoding',
  ),
  words: fc.oneof(texts, fc.constantFrom('*', '"5"', 'W/"5", "6"', 'application/json', '7')),
  body: fc.uint8Array({ maxLength: 50 }),
});

test('noise is answered, and nothing of it is the fault of the proxy', async () => {
  const ended: StreamHandler = (client) => {
    const ignore = (): void => {};
    client.listener = { onMessage: ignore, onHalfClose: ignore, onDrain: ignore, onCancel: ignore };
    client.end(new RpcError(Code.UNAVAILABLE, 'no etcd'));
  };
  const nothing = (): Uint8Array => NOTHING;
  const unary = Object.fromEntries([RANGE, PUT, DELETE, TXN, GRANT, REVOKE].map((path) => [path, nothing]));
  await using door = await Door.open({ unary, stream: { [WATCH]: ended } });
  await fc.assert(
    fc.asyncProperty(requests, async ({ method, place, rest, name, value, field, words, body }) => {
      const path = `${place}${rest}?${name}=${value}`;
      const sends = method === 'PUT' || method === 'POST' || method === 'PATCH';
      const headers = { [field]: words };
      const { status } = await ask(door.url, { method, path, headers, ...(sends ? { body } : {}) });
      const known = [200, 201, 204, 304, 400, 404, 405, 412, 415, 503];
      assert.ok(known.includes(status), `${status}`);
      assert.deepEqual(door.observer.faults, []);
    }),
    { numRuns: 1500 },
  );
});

test('a snapshot that was told is held no longer, while its watch goes on', async () => {
  const rooms: boolean[] = [];
  const kvs = [{ key: Buffer.from('k'), value: Buffer.alloc(5 << 20, 'v') }];
  const created = response({ created: true, header: { revision: 5n } });
  await using door = await Door.open({
    unary: {
      [RANGE]: (_, { outlet }) => {
        rooms.push(outlet.room);
        return encoded(RangeResponseSchema, { header: { revision: 5n }, kvs });
      },
    },
    stream: {
      [WATCH]: (client) => {
        const ignore = (): void => {};
        client.listener = {
          onMessage: () => client.send(created),
          onHalfClose: ignore,
          onDrain: ignore,
          onCancel: ignore,
        };
      },
    },
  });
  const session = connectHttp2(door.http2Url, { settings: { initialWindowSize: 16 << 20 } });
  session.on('connect', () => session.setLocalWindowSize(16 << 20));
  const before = buffersNow();
  for (let i = 1; i <= 12; i++) {
    const stream = session.request({ ':path': '/watch/k?snapshot' });
    let end = '';
    stream.on('data', (part: Buffer) => {
      end = (end + part.subarray(-100).toString('latin1')).slice(-100);
    });
    await until('the snapshot', () => end.includes('event: synced'));
  }
  assert.deepEqual(
    rooms,
    rooms.map(() => true),
  );
  await until('its bytes are let go', () => buffersNow() - before < 30 << 20);
  session.destroy();
});

/** What buffers take when all are gone that nobody has. Bytes. */
function buffersNow(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}
