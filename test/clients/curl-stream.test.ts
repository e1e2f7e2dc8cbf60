/** Plain curl as a client: server streams with Connect's JSON envelopes, and users with passwords and tokens. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import {
  base64,
  call,
  curl,
  envelope,
  envelopes,
  HTTP_VERSIONS,
  type HttpVersion,
  type Json,
  noCurl,
  startCurl,
} from './curl/curl.ts';

const KV = 'etcdserverpb.KV';
const WATCH = 'etcdconnect.v1.Browser/Watch';
const headers = { 'content-type': 'application/connect+json' };

describe('curl', { skip: noCurl }, () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = await startEtcd({ bcryptCost: 4 });
    proxy = await startProxy({ endpoints: etcd.endpoints });
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.stop();
  });

  for (const version of HTTP_VERSIONS) {
    describe(`HTTP/${version}`, () => {
      test('watch', () => watch(proxy.url, version));
      test('a watch ends upstream when curl does', () => hangUp(proxy.url, etcd.first.metricsUrl, version));
      test('a watch of compacted revisions', () => compacted(proxy.url, version));
      test('a watch with a deadline', () => deadline(proxy.url, version));
      test('snapshot', () => snapshot(proxy.url, version));
      test('wrong envelopes', () => wrongEnvelopes(proxy.url, version));
      test('users, passwords and tokens', () => auth(proxy.url, version));
    });
  }
});

async function watch(url: string, version: HttpVersion): Promise<void> {
  const [key, end] = [base64('w/'), base64('w0')];
  const body = envelope({ key, rangeEnd: end, prevKv: true });
  await using running = await startCurl(`${url}/${WATCH}`, { version, headers, body });
  const messages = () => envelopes(running.stdout).map(({ message }) => message);
  await until('a created watch', () => messages().length === 1);
  assert.partialDeepStrictEqual(messages()[0], { created: true });
  await call(url, version, `${KV}/Put`, { key: base64('w/1'), value: base64('first') });
  await until('a put', () => messages().length === 2);
  const put: Json = { events: [{ kv: { key: base64('w/1'), value: base64('first'), version: '1' } }] };
  assert.partialDeepStrictEqual(messages()[1], put);
  await call(url, version, `${KV}/Put`, { key: base64('elsewhere') });
  await call(url, version, `${KV}/DeleteRange`, { key: base64('w/1') });
  await until('a delete', () => messages().length === 3);
  const removed: Json = { events: [{ type: 'DELETE', prevKv: { value: base64('first') } }] };
  assert.partialDeepStrictEqual(messages()[2], removed);
  assert.equal(running.exit, undefined);
}

async function watchers(metricsUrl: string): Promise<number> {
  const { body } = await curl(`${metricsUrl}/metrics`, { version: '1.1' });
  return Number(/^etcd_debugging_mvcc_watcher_total (\d+)/m.exec(body)?.[1]);
}

async function hangUp(url: string, metricsUrl: string, version: HttpVersion): Promise<void> {
  await until('no watcher', async () => (await watchers(metricsUrl)) === 0);
  const body = envelope({ key: base64('hang') });
  await using running = await startCurl(`${url}/${WATCH}`, { version, headers, body });
  await until('a created watch', () => envelopes(running.stdout).length === 1);
  assert.equal(await watchers(metricsUrl), 1);
  await running.stop('SIGKILL');
  await until('no watcher', async () => (await watchers(metricsUrl)) === 0);
}

async function compacted(url: string, version: HttpVersion): Promise<void> {
  const { json } = await call(url, version, `${KV}/Put`, { key: base64('c') });
  const { revision } = json.header as { readonly revision: string };
  await call(url, version, `${KV}/Compact`, { revision });
  const body = envelope({ key: base64('c'), startRevision: `${Number(revision) - 1}` });
  const response = await curl(`${url}/${WATCH}`, { version, headers, body });
  assert.equal(response.status, 200);
  const found = envelopes(response.bytes);
  assert.deepEqual(
    found.map(({ flags }) => flags),
    [0, 0, 2],
  );
  assert.partialDeepStrictEqual(found[0]?.message, { created: true });
  assert.partialDeepStrictEqual(found[1]?.message, { canceled: true, compactRevision: revision });
  assert.equal(found[2]?.message.error, undefined);
}

async function deadline(url: string, version: HttpVersion): Promise<void> {
  const body = envelope({ key: base64('late') });
  let limitMs = 250;
  // Where the machine stands still, the deadline passes before the watch is there: then it is a later one.
  const [created, end] = await until('a watch before its deadline', async () => {
    limitMs *= 2;
    const fields = { ...headers, 'connect-timeout-ms': `${limitMs}` };
    const response = await curl(`${url}/${WATCH}`, { version, headers: fields, body });
    assert.equal(response.status, 200);
    const found = envelopes(response.bytes);
    return found.length > 1 && found;
  });
  assert.partialDeepStrictEqual(created?.message, { created: true });
  assert.equal(end?.flags, 2);
  assert.equal(end?.message.error?.code, 'deadline_exceeded');
}

async function snapshot(url: string, version: HttpVersion): Promise<void> {
  const path = `${url}/etcdserverpb.Maintenance/Snapshot`;
  const response = await curl(path, { version, headers, body: envelope({}) });
  const found = envelopes(response.bytes);
  assert.equal(found.at(-1)?.flags, 2);
  assert.equal(found.at(-1)?.message.error, undefined);
  const blobs = found.slice(0, -1).map(({ message }) => (message as { blob?: string }).blob ?? '');
  const bytes = Buffer.concat(blobs.map((blob) => Buffer.from(blob, 'base64')));
  assert.equal(bytes.length % 4096, 32, 'pages of a database and a checksum');
}

/** Connect's own answer to no message at all is `unimplemented`. */
const WRONG = /^(invalid_argument|resource_exhausted|unimplemented)$/;

async function wrongEnvelopes(url: string, version: HttpVersion): Promise<void> {
  const good = envelope({ key: base64('x') });
  const bad = ['', good.slice(0, 3), good.slice(0, -1), '\0\0\0\0\x02{]', `\x7f${good.slice(1)}`];
  for (const body of [...bad, '\0\x7f\x7f\x7f\x7f{}']) {
    const response = await curl(`${url}/${WATCH}`, { version, headers, body });
    assert.equal(response.status, 200, JSON.stringify(body));
    const [end, ...more] = envelopes(response.bytes);
    assert.deepEqual(more, []);
    assert.equal(end?.flags, 2);
    assert.match(end?.message.error?.code ?? '', WRONG, JSON.stringify(body));
  }
  const unary = await curl(`${url}/${WATCH}`, {
    version,
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  assert.equal(unary.status, 415, 'a stream asked for as if it were one answer');
}

async function makeUsers(url: string, version: HttpVersion): Promise<void> {
  const admin = (name: string, message: Json) => call(url, version, `etcdserverpb.Auth/${name}`, message);
  await admin('UserAdd', { name: 'root', password: 'root-pass' });
  await admin('RoleAdd', { name: 'root' });
  await admin('UserGrantRole', { user: 'root', role: 'root' });
  await admin('UserAdd', { name: 'eve', password: 'eve-pass' });
  await admin('RoleAdd', { name: 'some' });
  const perm = { permType: 'READWRITE', key: base64('eve/'), rangeEnd: base64('eve0') };
  await admin('RoleGrantPermission', { name: 'some', perm });
  await admin('UserGrantRole', { user: 'eve', role: 'some' });
  assert.equal((await admin('AuthEnable', {})).status, 200);
}

async function auth(url: string, version: HttpVersion): Promise<void> {
  await makeUsers(url, version);
  const login = (name: string, password: string) =>
    call(url, version, 'etcdserverpb.Auth/Authenticate', { name, password });
  const wrong = await login('eve', 'wrong');
  assert.equal(wrong.status, 400);
  assert.match(String(wrong.json.message), /authentication failed, invalid user ID or password/);
  const eve = String((await login('eve', 'eve-pass')).json.token);
  const root = String((await login('root', 'root-pass')).json.token);
  const put = (name: string, fields: Readonly<Record<string, string>>) =>
    call(url, version, `${KV}/Put`, { key: base64(name) }, fields);
  for (const fields of [{ token: eve }, { authorization: eve }, { authorization: `Bearer ${eve}` }]) {
    assert.equal((await put('eve/1', fields)).status, 200, JSON.stringify(fields));
  }
  const denied = await put('other', { token: eve });
  const text = 'etcdserver: permission denied';
  assert.deepEqual(denied, { status: 403, json: { code: 'permission_denied', message: text } });
  const stranger = await put('eve/1', { token: 'nonsense.1' });
  assert.deepEqual([stranger.status, stranger.json.code], [401, 'unauthenticated']);
  const nobody = await put('eve/1', {});
  assert.deepEqual([nobody.status, nobody.json.message], [400, 'etcdserver: user name is empty']);
  const body = envelope({ key: base64('other') });
  const refused = await curl(`${url}/${WATCH}`, { version, headers: { ...headers, token: eve }, body });
  assert.partialDeepStrictEqual(envelopes(refused.bytes)[0]?.message, { canceled: true });
  const token = { token: root };
  assert.equal((await call(url, version, 'etcdserverpb.Auth/AuthDisable', {}, token)).status, 200);
  for (const name of ['root', 'eve']) await call(url, version, 'etcdserverpb.Auth/UserDelete', { name });
  for (const role of ['root', 'some']) await call(url, version, 'etcdserverpb.Auth/RoleDelete', { role });
}
