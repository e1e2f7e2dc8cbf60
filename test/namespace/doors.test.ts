/** Every door is within the namespace: etcd's JSON paths too. The pages are about the proxy and etcd, and stay what they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { startEtcd } from '../support/etcd.ts';
import { pageInTime } from '../support/health-page.ts';
import { startProxy } from '../support/proxy.ts';
import { InProcess } from './in-process.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

test('JSON of etcd, JSON of Connect, and the pages', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--namespace=tenant/'] });
  using direct = new InProcess(etcd.first.address);
  const ask = async (path: string, body: object): Promise<{ kvs?: { key: string }[]; key?: string }> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${proxy.url}${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    const text = await response.text();
    assert.equal(response.status, 200, `${path}: ${text}`);
    return JSON.parse(text);
  };
  await direct.ask(KV.method.put, { key: Buffer.from('outside'), value: Buffer.from('1') });
  await ask('/v3/kv/put', { key: base64('one'), value: base64('1') });
  await ask('/etcdserverpb.KV/Put', { key: base64('two'), value: base64('2') });
  const all = { key: base64('\0'), range_end: base64('\0') };
  for (const path of ['/v3/kv/range', '/etcdserverpb.KV/Range']) {
    const { kvs } = await ask(path, all);
    assert.deepEqual(
      kvs?.map(({ key }) => key),
      [base64('one'), base64('two')],
      path,
    );
  }
  const { kvs } = await direct.ask(KV.method.range, { key: Buffer.of(0), rangeEnd: Buffer.of(0) });
  assert.deepEqual(
    kvs.map(({ key }) => Buffer.from(key).toString()),
    ['outside', 'tenant/one', 'tenant/two'],
  );

  // Its name begins like the paths of etcd's JSON.
  const { key } = await ask('/v3lockpb.Lock/Lock', { name: base64('lock') });
  assert.match(Buffer.from(key ?? '', 'base64').toString(), /^lock\//);

  const watch = new AbortController();
  const events = await fetch(`${proxy.url}/v3/watch`, {
    method: 'POST',
    body: JSON.stringify({ create_request: { key: base64('one'), start_revision: '1' } }),
    signal: watch.signal,
  });
  let told = '';
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
  while (!told.includes('"kv"')) {
    const { value, done } = (await reader?.read()) ?? { done: true };
    assert.ok(!done, told);
    told += value;
  }
  assert.ok(told.includes(`"key":"${base64('one')}"`), told);
  watch.abort();

  for (const page of ['/health', '/proxy/health', '/metrics', '/proxy/metrics', '/version'])
    assert.equal((await pageInTime(`${proxy.url}${page}`)).status, 200, page);
});
