/** etcd's JSON with auth on, `/version`, and both when etcd is gone: as etcd's own gateway, or better where that is silent. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { newestEtcd, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { decidedVersion, type GatewayRequest, Sides, send } from './gateway/sides.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');
const request = (path: string, body: object, headers = {}): GatewayRequest => ({
  path,
  body: JSON.stringify(body),
  headers,
});

async function tokenAt(base: string, name: string): Promise<string> {
  const { text } = await send(base, request('auth/authenticate', { name, password: 'secret' }));
  return (JSON.parse(text) as { token: string }).token;
}

test('users, roles and tokens', async () => {
  await using sides = await Sides.start(await newestEtcd());
  const role = { role: 'reader', perm: { key: b64('a'), range_end: b64('b'), permType: 'READ' } };
  for (const [path, body] of [
    ['auth/status', {}],
    ['auth/authenticate', { name: 'root', password: 'x' }],
    ['auth/enable', {}],
    ['auth/user/add', { name: 'root', password: 'secret' }],
    ['auth/user/add', { name: 'root', password: 'secret' }],
    ['auth/user/add', { name: '', password: 'secret' }],
    ['auth/user/add', { name: 'reader', password: 'secret' }],
    ['auth/role/add', { name: 'root' }],
    ['auth/role/add', { name: 'reader' }],
    ['auth/role/grant', { name: 'reader', perm: role.perm }],
    ['auth/role/grant', { name: 'nobody', perm: role.perm }],
    ['auth/role/get', { role: 'reader' }],
    ['auth/role/list', {}],
    ['auth/user/grant', { user: 'root', role: 'root' }],
    ['auth/user/grant', { user: 'reader', role: 'reader' }],
    ['auth/user/grant', { user: 'reader', role: 'nothing' }],
    ['auth/user/get', { name: 'reader' }],
    ['auth/user/list', {}],
    ['auth/user/changepw', { name: 'nobody', password: 'x' }],
    ['auth/enable', {}],
    ['auth/status', {}],
    ['kv/range', { key: b64('a') }],
    ['kv/put', { key: b64('a') }],
    ['maintenance/status', {}],
    ['auth/authenticate', { name: 'root', password: 'wrong' }],
    ['auth/authenticate', { name: 'nobody', password: 'x' }],
  ] as const)
    await sides.compare(request(path, body));
  const tokens = {
    direct: await tokenAt(sides.direct, 'reader'),
    proxied: await tokenAt(sides.proxied, 'reader'),
  };
  for (const [path, body, status] of [
    ['kv/range', { key: b64('a') }, 200],
    ['kv/range', { key: b64('c') }, 403],
    ['kv/put', { key: b64('a') }, 403],
    ['auth/user/list', {}, 403],
  ] as const) {
    for (const header of ['authorization', 'grpc-metadata-token', 'grpc-metadata-authorization']) {
      const [direct, proxied] = await Promise.all([
        send(sides.direct, request(path, body, { [header]: tokens.direct })),
        send(sides.proxied, request(path, body, { [header]: tokens.proxied })),
      ]);
      assert.equal(direct.status, status, direct.text);
      assert.equal(proxied.status, status, proxied.text);
    }
    const bearer = { authorization: `Bearer ${tokens.proxied}` };
    assert.equal((await send(sides.proxied, request(path, body, bearer))).status, status);
  }
  // A field that is no metadata is none, as with etcd.
  await sides.compare(request('kv/range', { key: b64('a') }, { token: 'of nobody' }));
  const expired = await sides.compare(request('kv/put', { key: b64('a') }, { authorization: 'gone' }));
  assert.equal(expired.proxied.status, 401);
  assert.equal(expired.proxied.headers.get('www-authenticate'), 'etcdserver: invalid auth token');
  await version(sides.proxied, 200);
  await watches(sides.proxied, tokens.proxied);
});

/** Once it has this status: an etcd that does not answer within a second says no version, and is asked again. */
async function version(base: string, status: number): Promise<Record<string, unknown>> {
  const answer = await until(`/version with ${status}`, async () => {
    const each = await send(base, { path: '/version', method: 'GET' });
    return each.status === status && each;
  });
  assert.equal(answer.headers.get('content-type'), 'application/json');
  return JSON.parse(answer.text) as Record<string, unknown>;
}

/** By WebSocket with and without a token, on a key that may be read and one that may not. */
async function watches(base: string, token: string): Promise<void> {
  const first = (key: string, protocols: string[]) =>
    new Promise<string>((resolve, reject) => {
      const socket = new WebSocket(`${base.replace('http', 'ws')}/v3/watch`, protocols);
      socket.on('error', reject);
      socket.on('open', () => {
        assert.equal(socket.protocol, protocols[0] ?? '');
        socket.send(JSON.stringify({ create_request: { key: b64(key) } }));
      });
      socket.on('message', (data) => {
        resolve(String(data));
        socket.close();
      });
    });
  assert.match(await first('a', ['Bearer', token]), /"created":true\}/);
  assert.match(
    await first('c', ['Bearer', token]),
    /"created":true,"canceled":true,"cancel_reason":".*PermissionDenied/,
  );
  assert.match(await first('a', []), /"canceled":true|"error"/);
}

/** A watch whose client goes on sending: what has come, and whether it is over. */
function openWatch(base: string, headers: Record<string, string> = {}) {
  const seen = { text: '', over: false };
  const sent = httpRequest(`${base}/v3/watch`, { method: 'POST', headers, agent: false }, (response) => {
    response.on('data', (part: Buffer) => {
      seen.text += part.toString();
    });
    response.on('close', () => {
      seen.over = true;
    });
    response.on('error', () => {});
  });
  sent.on('error', () => {});
  sent.write(`{"create_request":{"key":"${b64('open')}"}}`);
  return { seen, sent };
}

test('/version is that of etcd, and says so when etcd is gone; watches that are open wait for it', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  const direct = await decidedVersion(etcd.first.url);
  assert.deepEqual(await version(proxy.url, 200), JSON.parse(direct.text));
  const posted = await send(proxy.url, { path: '/version' });
  assert.equal(posted.status, 405);
  const watches = [openWatch(proxy.url), openWatch(proxy.url, { 'grpc-metadata-hasleader': 'true' })];
  for (const { seen } of watches) await until('created', () => seen.text.includes('"created":true}}\n'));
  await etcd.first.kill();
  const gone = await version(proxy.url, 503);
  assert.equal(gone.code, 14);
  assert.equal(gone.error, gone.message);
  const { status, text } = await send(proxy.url, {
    path: 'watch',
    body: '{"create_request":{"key":"YQ=="}}',
  });
  assert.equal(status, 503);
  const { error } = JSON.parse(text) as { error: Record<string, unknown> };
  assert.deepEqual(
    [error.code, error.grpc_code, error.http_code, error.http_status],
    [14, 14, 503, 'Service Unavailable'],
  );
  // The watches that were open wait for etcd, and are answered meanwhile.
  for (const { sent } of watches) sent.write('{"progress_request":{}}');
  for (const { seen } of watches) {
    await until('the progress', () => seen.text.includes('"watch_id":"-1"}}\n'));
  }
  await etcd.first.start();
  await until(
    'a put',
    async () => (await send(proxy.url, request('kv/put', { key: b64('open') }))).status === 200,
  );
  for (const { seen, sent } of watches) {
    await until('the event', () => seen.text.includes(`"events":[{"kv":{"key":"${b64('open')}"`));
    assert.deepEqual([seen.over, seen.text.includes('error')], [false, false]);
    sent.destroy();
  }
});
