/**
 * What the program tells: log lines of one form, and in neither the log nor the metrics a key, a value, a password
 * or a token of anybody, whatever they do and whatever goes wrong.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Watch, WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { GrpcJs } from './npm/grpc-js.ts';
import { logOf } from './program/run.ts';

const KEY = 'marked-key-5d1f';
const VALUE = 'marked-value-91ce';
const PASSWORD = 'marked-password-77ab';
const TOKEN = 'marked-token-3c02.1';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const root = { name: 'root', password: PASSWORD };

describe('log and metrics', () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = await startEtcd({ bcryptCost: 4 });
    proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--debug'] });
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.stop();
  });

  test('hold no secret', async () => {
    const tokens = await traffic(proxy, etcd);
    const pages = ['/metrics', '/proxy/metrics'].map(async (path) => (await fetch(proxy.url + path)).text());
    const metrics = (await Promise.all(pages)).join('');
    const exit = await proxy.stop();
    assert.equal(exit.code, 0);
    const told = (metrics + proxy.process.stderr + proxy.process.stdout).toLowerCase();
    for (const secret of [KEY, VALUE, PASSWORD, TOKEN, ...tokens]) {
      for (const form of formsOf(secret)) assert.ok(!told.includes(form), `${form} for ${secret}`);
    }
  });

  test('lines have level, time and message', () => {
    const lines = logOf(proxy.process.stderr);
    assert.ok(lines.some(({ msg }) => msg === 'started gRPC proxy'));
    for (const { level, ts, msg } of lines) {
      assert.match(level, /^(debug|info|warn|error|fatal)$/);
      assert.match(ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d{4})$/);
      assert.equal(typeof msg, 'string');
      assert.notEqual(msg, '');
    }
  });
});

/** A secret as it might be written: as it is, in base64 wherever it begins, in hex, percent-encoded. */
function formsOf(secret: string): string[] {
  const shifted = [0, 1, 2].map((at) => Buffer.from(secret).subarray(at).toString('base64'));
  // The last characters of base64 depend on what follows.
  const inside = shifted.map((text) => text.replace(/=+$/, '').slice(0, -2));
  const all = [secret, ...inside, Buffer.from(secret).toString('hex'), encodeURIComponent(secret)];
  return all.map((text) => text.toLowerCase());
}

/** Whatever may come of a call; only what is told about it matters here. */
async function whatever(call: Promise<unknown>): Promise<void> {
  await call.then(
    () => {},
    () => {},
  );
}

async function traffic(proxy: RunningProxy, etcd: EtcdCluster): Promise<string[]> {
  using client = new GrpcJs(proxy.address);
  const tokens = await authenticated(client);
  const token = tokens[0] ?? '';
  await wrongCalls(client, token);
  await webCalls(proxy.url, token);
  await whileEtcdGoes(client, token, etcd);
  return tokens;
}

async function authenticated(client: GrpcJs): Promise<string[]> {
  await client.unary(Auth.method.userAdd, root);
  await client.unary(Auth.method.roleAdd, { name: 'root' });
  await client.unary(Auth.method.userGrantRole, { user: 'root', role: 'root' });
  await client.unary(Auth.method.authEnable, {});
  const first = await client.unary(Auth.method.authenticate, root);
  const second = await client.unary(Auth.method.authenticate, root);
  const fields = { token: first.token };
  await client.unary(KV.method.put, { key: bytes(KEY), value: bytes(VALUE) }, fields);
  await client.unary(KV.method.range, { key: bytes(KEY) }, { authorization: `Bearer ${second.token}` });
  return [first.token, second.token];
}

async function wrongCalls(client: GrpcJs, token: string): Promise<void> {
  const [key, value] = [bytes(KEY), bytes(VALUE)];
  await whatever(client.unary(Auth.method.authenticate, { name: 'stranger', password: PASSWORD }));
  await whatever(client.unary(KV.method.put, { key, value }, { token: TOKEN }));
  await whatever(client.unary(KV.method.put, { key, value, lease: 99n }, { token }));
  await whatever(client.unary(KV.method.put, { key, value: Buffer.alloc(1_600_000, VALUE) }, { token }));
  await whatever(client.unary(KV.method.put, { key, value }, { token, 'x-custom': VALUE }));
  await whatever(client.unary(KV.method.range, { key, revision: 10n ** 9n }, { token }));
  const unknown = { ...KV.method.put, name: KEY };
  await whatever(client.unary(unknown, { key, value }, { token }));
}

async function webCalls(url: string, token: string): Promise<void> {
  const key = Buffer.from(KEY).toString('base64');
  const headers = { 'content-type': 'application/json', token };
  const post = (path: string, body: string, fields: Record<string, string> = headers) =>
    whatever(fetch(url + path, { method: 'POST', body, headers: fields }).then((answer) => answer.text()));
  const range = '/etcdserverpb.KV/Range';
  await post(range, JSON.stringify({ key }));
  await post(range, `{"key":"${key}`);
  await post(range, `{"key":"${KEY}"}`);
  await post(range, KEY, { ...headers, 'content-type': 'application/proto' });
  await post(range, KEY, { ...headers, 'content-type': `text/${KEY}` });
  await post(`/etcdserverpb.KV/${KEY}`, '{}');
  await post(`/${KEY}/${VALUE}`, '{}');
  await post('/etcdserverpb.Auth/Authenticate', JSON.stringify({ name: 'root', password: PASSWORD }));
  const query = `connect=v1&encoding=json&message=${encodeURIComponent(JSON.stringify({ key }))}`;
  await whatever(fetch(`${url}${range}?${query}`, { headers: { authorization: token } }));
  await whatever(fetch(`${url}/${KEY}?token=${TOKEN}`));
  await whatever(fetch(`${url}/health?token=${TOKEN}`));
}

async function whileEtcdGoes(client: GrpcJs, token: string, etcd: EtcdCluster): Promise<void> {
  const stream = client.bidi(Watch.method.watch, { token });
  stream.on('error', () => {}); // it may break with etcd
  const created = new Promise((resolve) => stream.once('data', resolve));
  const watch = { case: 'createRequest' as const, value: { key: bytes(KEY) } };
  stream.write(create(WatchRequestSchema, { requestUnion: watch }));
  await created;
  const calls = Array.from({ length: 50 }, () =>
    whatever(client.unary(KV.method.put, { key: bytes(KEY), value: bytes(VALUE) }, { token })),
  );
  await etcd.first.kill();
  await Promise.all(calls);
  const deadline = Date.now() + 500;
  await whatever(client.unary(KV.method.range, { key: bytes(KEY) }, { token }, { deadline }));
  await etcd.first.start();
  await until('an answer', async () => {
    const answer = await client.unary(Auth.method.authenticate, root).catch(() => undefined);
    return answer?.token;
  });
  stream.cancel();
}
