/** The pages beside the RPCs, and what is answered where there is neither page nor RPC. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, type ConnectError, createClient } from '@connectrpc/connect';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { Door } from './support.ts';

test('health is reported as etcd reports it', async () => {
  await using door = await Door.open();
  const good = await fetch(`${door.url}/health?serializable=true`);
  assert.equal(good.status, 200);
  assert.equal(good.headers.get('content-type'), 'text/plain; charset=utf-8');
  assert.equal(await good.text(), '{"health":"true","reason":""}');
  const bad = await fetch(`${door.url}/proxy/health`);
  assert.equal(bad.status, 503);
  assert.equal(bad.headers.get('content-type'), 'text/plain; charset=utf-8');
  assert.equal(await bad.text(), '{"health":"false","reason":"WATCH TIMEOUT"}\n');
});

test("etcd's page of health is relayed as it is, for the query that was asked", async () => {
  const queries: string[] = [];
  const health = {
    check: async (query: URLSearchParams) => {
      queries.push(query.toString());
      return { status: queries.length === 1 ? 200 : 503, body: Buffer.from('{"health":"x"}') };
    },
    checkProxy: async () => ({ health: true, reason: '' }),
  };
  await using door = await Door.open({}, { health });
  for (const status of [200, 503]) {
    const page = await fetch(`${door.url}/health?exclude=A&exclude=B&serializable=true`);
    assert.equal(page.status, status);
    assert.equal(page.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.equal(page.headers.get('x-content-type-options'), status === 503 ? 'nosniff' : null);
    assert.equal(await page.text(), '{"health":"x"}');
  }
  assert.deepEqual(queries, Array(2).fill('exclude=A&exclude=B&serializable=true'));
});

test('metrics are two pages', async () => {
  await using door = await Door.open();
  for (const [path, body] of [
    ['/metrics', 'etcd 1\nup 1\n'],
    ['/proxy/metrics', 'up 1\n'],
  ] as const) {
    const page = await fetch(door.url + path);
    assert.equal(page.status, 200);
    assert.equal(page.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    assert.equal(await page.text(), body);
  }
});

test('a check that fails to run is a server error, and reported', async () => {
  const fault = new Error('secret');
  const failing = (): Promise<never> => Promise.reject(fault);
  await using door = await Door.open(
    {},
    { metrics: { all: failing, own: failing }, health: { check: failing, checkProxy: failing } },
  );
  for (const path of ['/metrics', '/proxy/metrics', '/health']) {
    const page = await fetch(door.url + path);
    assert.equal(page.status, 500);
    assert.doesNotMatch(await page.text(), /secret/);
    assert.deepEqual(door.observer.faults.splice(0), [fault]);
  }
});

test('pages are for GET alone', async () => {
  await using door = await Door.open();
  for (const path of ['/health', '/proxy/health', '/metrics', '/proxy/metrics']) {
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) {
      const body = ['POST', 'PUT'].includes(method) ? { body: 'x' } : {};
      const page = await fetch(door.url + path, { method, ...body });
      assert.equal(page.status, 405, `${method} ${path}`);
      assert.equal(page.headers.get('allow'), 'GET', `${method} ${path}`);
    }
  }
});

test('an unknown path is answered in the protocol of the request', async () => {
  await using door = await Door.open();
  const post = (path: string, type: string): Promise<Response> =>
    fetch(door.url + path, { method: 'POST', headers: { 'content-type': type }, body: Buffer.alloc(5) });
  for (const type of ['application/grpc-web', 'application/grpc-web+proto', 'application/grpc-web+json']) {
    const web = await post('/etcdserverpb.KV/Dance?x', type);
    assert.equal(web.status, 200);
    assert.equal(web.headers.get('content-type'), type);
    assert.equal(web.headers.get('grpc-status'), '12');
    assert.equal(
      decodeURIComponent(web.headers.get('grpc-message') ?? ''),
      'unknown method /etcdserverpb.KV/Dance',
    );
  }
  for (const type of ['application/json', 'application/proto', 'application/connect+json']) {
    const connect = await post('/etcdserverpb.KV/Dance', type);
    assert.equal(connect.status, 404);
    assert.deepEqual(await connect.json(), {
      code: 'unimplemented',
      message: 'unknown method /etcdserverpb.KV/Dance',
    });
  }
  for (const path of ['/', '/nope', '//', '/health/', '/%', '/%E0%A4', '/../etc/passwd']) {
    const plain = await fetch(door.url + path);
    assert.ok([400, 404].includes(plain.status), path);
    assert.ok((await plain.text()).length < 200, path);
  }
  assert.deepEqual(door.observer.faults, []);
});

test('gRPC over HTTP/1.1 is told what it needs', async () => {
  await using door = await Door.open();
  for (const path of ['/etcdserverpb.KV/Range', '/unknown', '/health']) {
    for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;x=y']) {
      const response = await fetch(door.url + path, {
        method: 'POST',
        headers: { 'content-type': type },
        body: Buffer.alloc(5),
      });
      assert.equal(response.status, 505);
      assert.equal(await response.text(), 'gRPC requires HTTP/2\n');
    }
  }
});

test('bidirectional streams are UNIMPLEMENTED, at once, in every protocol', async () => {
  await using door = await Door.open();
  for (const [name, transport] of door.transports()) {
    for (const open of [
      () => createClient(Watch, transport).watch(endless()),
      () => createClient(Lease, transport).leaseKeepAlive(endless()),
    ]) {
      const next = open()[Symbol.asyncIterator]().next();
      await assert.rejects(next, (error: ConnectError) => {
        // connect-web and connect-node refuse to send some of these; the rest is refused by the door.
        assert.ok(
          error.code === Code.Unimplemented || error.code === Code.Unknown,
          `${name}: ${error.message}`,
        );
        return true;
      });
    }
  }
  const raw = await fetch(`${door.url}/etcdserverpb.Watch/Watch`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json' },
    body: Buffer.alloc(5),
  });
  assert.equal(raw.status, 505);
  assert.equal(((await raw.json()) as { code: string }).code, 'unimplemented');
  assert.deepEqual(door.observer.events, []);
});

/** One message, then nothing more, and no end. */
async function* endless(): AsyncGenerator<Record<string, never>> {
  yield {};
  await new Promise(() => {});
}
