/** Keys over plain HTTP with etcd's auth on, and in a namespace: as for any other client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { send } from './gateway/sides.ts';
import { ask, EventStream } from './kv/ask.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');

async function say(base: string, path: string, body: object, headers = {}): Promise<string> {
  const { status, text } = await send(base, { path, body: JSON.stringify(body), headers });
  assert.equal(status, 200, text);
  return text;
}

test('permissions and tokens', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=0s'] });
  const direct = etcd.first.url;
  for (const [name, permission] of [
    ['root', undefined],
    ['reader', 'READ'],
    ['writer', 'WRITE'],
  ] as const) {
    await say(direct, 'auth/user/add', { name, password: 'secret' });
    await say(direct, 'auth/role/add', { name });
    await say(direct, 'auth/user/grant', { user: name, role: name });
    if (permission === undefined) continue;
    const perm = { key: b64('a/'), range_end: b64('a0'), permType: permission };
    await say(direct, 'auth/role/grant', { name, perm });
  }
  await say(direct, 'kv/put', { key: b64('a/1'), value: b64('one') });
  await say(direct, 'auth/enable', {});
  const token = async (name: string): Promise<Record<string, string>> => {
    const text = await say(direct, 'auth/authenticate', { name, password: 'secret' });
    return { authorization: `Bearer ${(JSON.parse(text) as { token: string }).token}` };
  };
  const [root, reader, writer] = await Promise.all([token('root'), token('reader'), token('writer')]);
  const none = {};
  const wrong = { authorization: 'nobody.1' };
  const bare = { authorization: (reader.authorization as string).slice('Bearer '.length) };
  for (const [method, path, headers, status] of [
    ['GET', '/kv/a/1', reader, 200],
    ['GET', '/kv/a/1', bare, 200],
    ['GET', '/kv/a/?prefix', reader, 200],
    ['GET', '/kv/?prefix', reader, 403],
    ['GET', '/kv/b', reader, 403],
    ['GET', '/kv/a/1', writer, 403],
    ['GET', '/kv/a/1', wrong, 401],
    ['GET', '/kv/a/1', none, 400],
    ['PUT', '/kv/a/1', reader, 403],
    ['PUT', '/kv/a/1', writer, 204],
    ['PUT', '/kv/a/1?ttl=100', writer, 204],
    // A condition reads.
    ['PUT', '/kv/a/1', { ...writer, 'if-match': '*' }, 403],
    ['PUT', '/kv/a/1', { ...root, 'if-match': '*' }, 204],
    ['PUT', '/kv/a/1', wrong, 401],
    ['DELETE', '/kv/a/1', reader, 403],
    ['DELETE', '/kv/a/1', writer, 200],
    ['GET', '/watch/b', reader, 403],
    ['GET', '/watch/a/?prefix', writer, 403],
    ['GET', '/watch/a/?prefix&snapshot', writer, 403],
    ['GET', '/watch/a/?prefix', wrong, 401],
  ] as const) {
    const body = method === 'PUT' ? 'two' : undefined;
    const answer = await ask(proxy.url, { method, path, headers, ...(body === undefined ? {} : { body }) });
    assert.equal(answer.status, status, `${method} ${path} ${JSON.stringify(headers)} ${answer.text}`);
    assert.equal(answer.headers['www-authenticate'], status === 401 ? 'Bearer' : undefined);
  }
  const before = (JSON.parse(await say(direct, 'lease/leases', {}, root)) as { leases?: unknown[] }).leases;
  const refused = await ask(proxy.url, { method: 'PUT', path: '/kv/b?ttl=100', headers: writer, body: 'x' });
  assert.equal(refused.status, 403);
  const after = (JSON.parse(await say(direct, 'lease/leases', {}, root)) as { leases?: unknown[] }).leases;
  assert.deepEqual(after, before);

  const stream = await new EventStream(proxy.url, '/watch/a/?prefix', reader).begun();
  await ask(proxy.url, { method: 'PUT', path: '/kv/a/2', headers: writer, body: 'three' });
  assert.equal((await stream.atLeast(1))[0]?.data.value, 'three');
  stream.close();
  assert.ok(!proxy.stderr.some((line) => line.includes('"level":"error"')), proxy.stderr.join('\n'));
});

test('a namespace is all there is', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--namespace=inner/'] });
  await say(etcd.first.url, 'kv/put', { key: b64('outside'), value: b64('x') });
  const to = (method: string, path: string, headers = {}, body?: string) =>
    ask(proxy.url, { method, path, headers, ...(body === undefined ? {} : { body }) });
  const stream = await new EventStream(proxy.url, '/watch/?prefix').begun();
  assert.equal((await to('PUT', '/kv/key', { 'if-none-match': '*' }, 'one')).status, 201);
  const { headers } = await to('GET', '/kv/key');
  assert.equal((await to('PUT', '/kv/key?ttl=100', { 'if-match': String(headers.etag) }, 'two')).status, 204);
  assert.equal((await to('GET', '/kv/outside')).status, 404);
  const listed = await to('GET', '/kv/?prefix');
  assert.deepEqual(
    (JSON.parse(listed.text) as { key: string; value: string }[]).map(({ key, value }) => [key, value]),
    [['key', 'two']],
  );
  await to('PUT', '/kv/other', {}, 'x');
  const page = await to('GET', '/kv/?prefix&limit=1&keys');
  const next = /^<(.*)>; rel/.exec(String(page.headers.link))?.[1] ?? '';
  assert.deepEqual(JSON.parse((await to('GET', next)).text).length, 1);
  await say(etcd.first.url, 'kv/put', { key: b64('inner/direct'), value: b64('x') });
  await until('the events', () => stream.events.length === 4);
  assert.deepEqual(
    stream.events.map(({ data }) => data.key),
    ['key', 'key', 'other', 'direct'],
  );
  stream.close();
  assert.equal((await to('DELETE', '/kv/outside')).status, 404);
  assert.match(await say(etcd.first.url, 'kv/range', { key: b64('outside') }), /"count":"1"/);
});
