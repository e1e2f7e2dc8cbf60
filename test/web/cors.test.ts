/** Which pages of other origins may call, and what their browsers are told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata } from '../../src/rpc/metadata.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const GOOD = 'https://app.example';
const services = {
  unary: {
    [RANGE]: (_: Uint8Array, call: { responseHeaders: Metadata }) => {
      call.responseHeaders = new Metadata(['x-of-etcd', '1']);
      return new Uint8Array(0);
    },
  },
};

function preflight(door: Door, origin: string): Promise<Response> {
  return fetch(door.url + RANGE, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,connect-protocol-version,content-type,token,x-custom',
    },
  });
}

const corsHeaders = (response: Response): string[] =>
  [...response.headers.keys()].filter((name) => name.startsWith('access-control-'));

test('without allowed origins there are no CORS headers at all', async () => {
  await using door = await Door.open(services);
  const asked = await preflight(door, GOOD);
  assert.equal(asked.status, 403);
  assert.deepEqual(corsHeaders(asked), []);
  const called = await door.postJson(RANGE, '{}', { origin: GOOD });
  assert.equal(called.status, 403);
  assert.deepEqual(corsHeaders(called), []);
});

test('an allowed origin may send every header and see every header', async () => {
  await using door = await Door.open(services, { corsAllowedOrigins: [GOOD, 'http://localhost:5173'] });
  const asked = await preflight(door, GOOD);
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get('access-control-allow-origin'), GOOD);
  assert.match(asked.headers.get('access-control-allow-methods') ?? '', /POST/);
  const allowed = (asked.headers.get('access-control-allow-headers') ?? '').split(/, */);
  for (const name of ['authorization', 'connect-protocol-version', 'content-type', 'token', 'x-custom']) {
    assert.ok(allowed.includes(name), name);
  }
  assert.equal(asked.headers.get('access-control-allow-credentials'), null);
  const called = await door.postJson(RANGE, '{}', { origin: GOOD });
  assert.equal(called.headers.get('access-control-allow-origin'), GOOD);
  assert.match(called.headers.get('vary') ?? '', /origin/i);
  const exposed = (called.headers.get('access-control-expose-headers') ?? '').toLowerCase().split(/, */);
  for (const name of ['grpc-status', 'grpc-message', 'grpc-status-details-bin', '*']) {
    assert.ok(exposed.includes(name), name);
  }
  assert.equal(called.headers.get('x-of-etcd'), '1');
});

test('another origin is not let in', async () => {
  await using door = await Door.open(services, { corsAllowedOrigins: [GOOD] });
  const asked = await preflight(door, 'https://evil.example');
  assert.equal(asked.status, 403);
  assert.equal(asked.headers.get('access-control-allow-origin'), null);
  const called = await door.postJson(RANGE, '{}', { origin: 'https://evil.example' });
  assert.equal(called.status, 403);
  assert.equal(called.headers.get('access-control-allow-origin'), null);
});

test('the wildcard lets every origin in, for errors and pages too', async () => {
  await using door = await Door.open(services, { corsAllowedOrigins: ['*'] });
  assert.equal((await preflight(door, GOOD)).headers.get('access-control-allow-origin'), '*');
  const bad = await door.postJson(RANGE, '{', { origin: GOOD });
  assert.equal(bad.status, 400);
  assert.equal(bad.headers.get('access-control-allow-origin'), '*');
  const health = await fetch(`${door.url}/health`, { headers: { origin: GOOD } });
  assert.equal(health.headers.get('access-control-allow-origin'), '*');
  const unknown = await fetch(`${door.url}/nope`, { headers: { origin: GOOD } });
  assert.equal(unknown.headers.get('access-control-allow-origin'), '*');
});
