/** Which requests of pages get through, by every protocol and form of connection, and that nobody else is asked. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { describe, test } from 'node:test';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const OWN_NAMES = ['proxy.example', 'white.example'];

/** Counts the calls that get through. */
function counting() {
  const seen = { calls: 0 };
  const handler = () => {
    seen.calls++;
    return new Uint8Array(0);
  };
  return { seen, services: { unary: { [RANGE]: handler } } };
}

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Over HTTP/1.1, with whatever `Host`. */
function ask(door: Door, { method = 'POST', path = RANGE, headers }: Asked): Promise<number> {
  return new Promise((resolve, reject) => {
    const type = { 'content-type': 'application/json' };
    const request = httpRequest({ port: door.port, method, path, headers: { ...type, ...headers } });
    request.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', reject);
    request.end(method === 'POST' ? '{}' : undefined);
  });
}

/** Over HTTP/2, whose requests name a scheme. */
async function askHttp2(door: Door, fields: Readonly<Record<string, string>>): Promise<number> {
  const session = connectHttp2(door.http2Url);
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': RANGE,
        'content-type': 'application/json',
        ...fields,
      });
      stream.on('response', (headers) => resolve(Number(headers[':status'])));
      stream.on('error', reject);
      stream.end('{}');
    });
  } finally {
    session.close();
  }
}

/** `%` stands for the door's port. */
const CASES: readonly (readonly [host: string, origin: string | undefined, status: number])[] = [
  ['127.0.0.1:%', undefined, 200],
  ['evil.example:%', undefined, 200],
  ['127.0.0.1:%', 'http://127.0.0.1:%', 200],
  ['localhost:%', 'http://localhost:%', 200],
  ['LOCALHOST:%', 'http://localhost:%', 200],
  ['[::1]:%', 'http://[::1]:%', 200],
  ['proxy.example', 'http://proxy.example', 200],
  ['proxy.example:80', 'http://proxy.example', 200],
  ['Proxy.Example.:80', 'http://proxy.example.', 200],
  ['white.example:%', 'https://app.example', 200],
  ['127.0.0.1:%', 'https://app.example', 200],
  // Another origin: by host, port or scheme, or one that is none.
  ['127.0.0.1:%', 'http://evil.example', 403],
  ['127.0.0.1:%', 'http://127.0.0.1:1', 403],
  ['127.0.0.1:%', 'https://127.0.0.1:%', 403],
  ['127.0.0.1:%', 'http://localhost:%', 403],
  ['127.0.0.1:%', 'null', 403],
  ['127.0.0.1:%', '', 403],
  ['127.0.0.1:%', 'http://127.0.0.1:%, http://evil.example', 403],
  ['127.0.0.1:%', 'http://127.0.0.1:%.evil.example', 403],
  ['proxy.example:443', 'http://proxy.example', 403],
  ['proxy.example', 'https://app.example.evil.example', 403],
  // A name of another site that leads here.
  ['evil.example:%', 'http://evil.example:%', 421],
  ['localhost.evil.example:%', 'http://localhost.evil.example:%', 421],
  ['127.0.0.1.evil.example:%', 'http://127.0.0.1.evil.example:%', 421],
  ['evil.example:%', 'https://app.example', 421],
];

describe('requests of pages', () => {
  for (const [host, origin, status] of CASES) {
    test(`Host: ${host}, Origin: ${origin}: ${status}`, async () => {
      const { seen, services } = counting();
      const options = {
        corsAllowedOrigins: ['https://app.example'],
        isOwnHost: (name: string) => OWN_NAMES.includes(name.replace(/\.$/, '')),
      };
      await using door = await Door.open(services, options);
      const filled = (text: string) => text.replaceAll('%', String(door.port));
      const headers = { host: filled(host), ...(origin === undefined ? {} : { origin: filled(origin) }) };
      assert.equal(await ask(door, { headers }), status);
      assert.equal(seen.calls, status === 200 ? 1 : 0);
      for (const path of ['/health', '/metrics', '/nothing', '/v3/kv/range']) {
        const got = await ask(door, { method: 'GET', path, headers });
        assert.equal(got === 403 || got === 421 ? got : 200, status, `${path}: ${got}`);
      }
    });
  }

  test('over HTTP/2 the scheme is that of the request', async () => {
    const { seen, services } = counting();
    await using door = await Door.open(services);
    const own = { ':scheme': 'https', ':authority': '127.0.0.1:7' };
    assert.equal(await askHttp2(door, { ...own, origin: 'https://127.0.0.1:7' }), 200);
    assert.equal(await askHttp2(door, { ...own, origin: 'http://127.0.0.1:7' }), 403);
    assert.equal(await askHttp2(door, { ...own, origin: 'https://evil.example' }), 403);
    const rebound = { ':scheme': 'https', ':authority': 'evil.example', origin: 'https://evil.example' };
    assert.equal(await askHttp2(door, rebound), 421);
    assert.equal(await askHttp2(door, { ...own, ':authority': 'evil.example' }), 200);
    assert.equal(seen.calls, 2);
  });

  test('a read by GET, which pages send without an origin, names a host of the proxy', async () => {
    const { seen, services } = counting();
    await using door = await Door.open(services, { isOwnHost: (name) => OWN_NAMES.includes(name) });
    const path = `${RANGE}?encoding=json&message=%7B%7D`;
    const get = (host: string) => ask(door, { method: 'GET', path, headers: { host } });
    assert.equal(await get(`127.0.0.1:${door.port}`), 200);
    assert.equal(await get('proxy.example'), 200);
    assert.equal(seen.calls, 2);
    assert.equal(await get('evil.example'), 421);
    assert.equal(await get('a b['), 421);
    assert.equal(seen.calls, 2);
  });

  test('with every origin allowed, names of other sites still lead nowhere', async () => {
    const { seen, services } = counting();
    await using door = await Door.open(services, { corsAllowedOrigins: ['*'] });
    assert.equal(await ask(door, { headers: { origin: 'null', host: '127.0.0.1' } }), 200);
    assert.equal(await ask(door, { headers: { origin: 'http://evil.example', host: 'evil.example' } }), 421);
    assert.equal(seen.calls, 1);
  });
});
