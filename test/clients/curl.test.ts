/**
 * Plain curl as a client: etcd's RPCs as Connect JSON over HTTP/1.1 and HTTP/2, and what becomes of requests that
 * are wrong.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { REAL_MEMBERS, type RunningProxy, startProxy } from '../support/proxy.ts';
import { base64, call, curl, HTTP_VERSIONS, type HttpVersion, type Json, noCurl } from './curl/curl.ts';

type Refusal = readonly [method: string, message: Json, status: number, code: string, text: string];

const KV = 'etcdserverpb.KV';
const LEASE = 'etcdserverpb.Lease';
const key = base64('key');

/** Calls that etcd refuses: HTTP status and code as Connect defines them, text as etcd wrote it. */
const REFUSALS: readonly Refusal[] = [
  [`${KV}/Range`, {}, 400, 'invalid_argument', 'etcdserver: key is not provided'],
  [`${KV}/Put`, { value: key }, 400, 'invalid_argument', 'etcdserver: key is not provided'],
  [
    `${KV}/Range`,
    { key, revision: '999999' },
    400,
    'out_of_range',
    'etcdserver: mvcc: required revision is a future revision',
  ],
  [
    `${KV}/Compact`,
    { revision: 999999 },
    400,
    'out_of_range',
    'etcdserver: mvcc: required revision is a future revision',
  ],
  [`${KV}/Put`, { key, lease: '1' }, 404, 'not_found', 'etcdserver: requested lease not found'],
  [`${LEASE}/LeaseRevoke`, { ID: '1' }, 404, 'not_found', 'etcdserver: requested lease not found'],
  [`${LEASE}/LeaseGrant`, { TTL: '9999999999' }, 400, 'out_of_range', 'etcdserver: too large lease TTL'],
  ['etcdserverpb.Auth/AuthEnable', {}, 400, 'failed_precondition', 'etcdserver: root user does not exist'],
  ['etcdserverpb.Cluster/MemberRemove', { ID: '1' }, 404, 'not_found', 'etcdserver: member not found'],
];

describe('curl', { skip: noCurl }, () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = await startEtcd();
    proxy = await startProxy({ endpoints: etcd.endpoints, flags: [REAL_MEMBERS] });
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.stop();
  });

  for (const version of HTTP_VERSIONS) {
    describe(`HTTP/${version}`, () => {
      test('put, range, delete', () => keys(proxy.url, version));
      test('txn', () => transaction(proxy.url, version));
      test('lease', () => lease(proxy.url, version));
      for (const [method, message, status, code, text] of REFUSALS) {
        test(`${method} ${JSON.stringify(message)}: ${code}`, async () => {
          const { status: seen, json } = await call(proxy.url, version, method, message);
          assert.deepEqual({ status: seen, json }, { status, json: { code, message: text } });
        });
      }
      test('GET of what has no side effects', () => get(proxy.url, version));
      test('wrong requests', () => wrongRequests(proxy.url, version));
      test('a deadline', () => deadline(proxy.url, version));
      test('everyday options', () => everyday(proxy.url, version));
      test('a request that is too large', () => tooLarge(proxy.url, version));
    });
  }
});

async function keys(url: string, version: HttpVersion): Promise<void> {
  const name = base64(`keys/${version}`);
  const put = await call(url, version, `${KV}/Put`, { key: name, value: base64('ü €') });
  assert.equal(put.status, 200);
  assert.deepEqual(Object.keys(put.json), ['header']);
  const range = await call(url, version, `${KV}/Range`, { key: name });
  assert.partialDeepStrictEqual(range.json, { kvs: [{ key: name, value: base64('ü €'), version: '1' }] });
  assert.equal(range.json.count, '1');
  // Both spellings of a field are JSON of protobuf.
  for (const rangeEnd of ['rangeEnd', 'range_end']) {
    const message = { key: base64('keys/'), [rangeEnd]: base64('keys0'), countOnly: true };
    const count = await call(url, version, `${KV}/Range`, message);
    assert.notEqual(count.json.count, undefined);
    assert.equal(count.json.kvs, undefined);
  }
  const removed = await call(url, version, `${KV}/DeleteRange`, { key: name, prevKv: true });
  assert.partialDeepStrictEqual(removed.json, { deleted: '1', prevKvs: [{ key: name }] });
}

async function transaction(url: string, version: HttpVersion): Promise<void> {
  const name = base64(`txn/${version}`);
  const message = {
    compare: [{ key: name, target: 'CREATE', result: 'EQUAL', createRevision: '0' }],
    success: [{ requestPut: { key: name, value: base64('made') } }],
    failure: [{ requestRange: { key: name } }],
  };
  const first = await call(url, version, `${KV}/Txn`, message);
  assert.partialDeepStrictEqual(first.json, { succeeded: true, responses: [{ responsePut: {} }] });
  const second = await call(url, version, `${KV}/Txn`, message);
  assert.equal(second.json.succeeded, undefined);
  const responses = [{ responseRange: { kvs: [{ value: base64('made') }] } }];
  assert.partialDeepStrictEqual(second.json, { responses });
}

async function lease(url: string, version: HttpVersion): Promise<void> {
  const granted = await call(url, version, `${LEASE}/LeaseGrant`, { TTL: '60' });
  const ID = granted.json.ID ?? '';
  assert.equal(granted.json.TTL, '60');
  const name = base64(`lease/${version}`);
  await call(url, version, `${KV}/Put`, { key: name, lease: ID });
  const left = await call(url, version, `${LEASE}/LeaseTimeToLive`, { ID, keys: true });
  assert.partialDeepStrictEqual(left.json, { ID, grantedTTL: '60', keys: [name] });
  const renewed = await call(url, version, 'etcdconnect.v1.Browser/LeaseKeepAliveOnce', { ID });
  assert.partialDeepStrictEqual(renewed.json, { ID, TTL: '60' });
  const revoked = await call(url, version, `${LEASE}/LeaseRevoke`, { ID });
  assert.equal(revoked.status, 200);
  const unknown = await call(url, version, 'etcdconnect.v1.Browser/LeaseKeepAliveOnce', { ID });
  assert.equal(unknown.status, 200);
  assert.equal(unknown.json.TTL, undefined);
}

async function get(url: string, version: HttpVersion): Promise<void> {
  const query = (message: string) => `encoding=json&connect=v1&message=${encodeURIComponent(message)}`;
  await call(url, version, `${KV}/Put`, { key: base64('got'), value: base64('1') });
  const range = JSON.stringify({ key: base64('got') });
  const good = await curl(`${url}/${KV}/Range?${query(range)}`, { version });
  assert.equal(good.status, 200, good.body);
  assert.partialDeepStrictEqual(JSON.parse(good.body), { kvs: [{ value: base64('1') }] });
  const encoded = `encoding=json&base64=1&connect=v1&message=${Buffer.from(range).toString('base64url')}`;
  assert.equal((await curl(`${url}/${KV}/Range?${encoded}`, { version })).body, good.body);
  const members = await curl(`${url}/etcdserverpb.Cluster/MemberList?${query('{}')}`, { version });
  assert.partialDeepStrictEqual(JSON.parse(members.body), { members: [{ name: 'm0' }] });
  const put = await curl(`${url}/${KV}/Put?${query(range)}`, { version });
  assert.equal(put.status, 405, 'a write by GET');
  assert.equal(put.headers.get('allow'), 'POST');
}

async function wrongRequests(url: string, version: HttpVersion): Promise<void> {
  const post = (path: string, body: string, type = 'application/json') =>
    curl(url + path, { version, body, headers: { 'content-type': type } });
  const path = `/${KV}/Range`;
  for (const body of ['{', '', '[]', '{"key":1}', '{"key":"%%%"}', '{"limit":"many"}', '{"key":"a"']) {
    const { status, body: answer } = await post(path, body);
    assert.equal(status, 400, `${body}: ${answer}`);
    assert.equal((JSON.parse(answer) as { code: string }).code, 'invalid_argument', `${body}: ${answer}`);
  }
  const proto = await post(path, '\n\x05a', 'application/proto');
  assert.equal(proto.status, 400, 'truncated protobuf');
  assert.equal((JSON.parse(proto.body) as { code: string }).code, 'invalid_argument');
  for (const unknown of [`/${KV}/Rang`, '/no.such.Service/Do', '/etcdserverpb.KV']) {
    const { status, body } = await post(unknown, '{}');
    assert.equal(status, 404, unknown);
    assert.equal((JSON.parse(body) as { code: string }).code, 'unimplemented');
  }
  assert.equal((await curl(`${url}/`, { version })).status, 404);
  assert.equal((await curl(`${url}/v3alpha/kv/range`, { version, body: '{}' })).status, 404);
  assert.equal((await post(path, '{}', 'text/plain')).status, 415);
  assert.equal((await post(path, '{}', 'application/xml')).status, 415);
  const wrongMethod = await curl(url + path, { version, method: 'DELETE' });
  assert.equal(wrongMethod.status, 405);
  assert.match(wrongMethod.headers.get('allow') ?? '', /POST/);
  // It goes on serving after all that.
  assert.equal((await call(url, version, `${KV}/Range`, { key })).status, 200);
}

/** A call that waits for a lock which somebody else has. */
async function deadline(url: string, version: HttpVersion): Promise<void> {
  const name = base64(`lock/${version}`);
  const held = await call(url, version, 'v3lockpb.Lock/Lock', { name });
  const late = await call(url, version, 'v3lockpb.Lock/Lock', { name }, { 'connect-timeout-ms': '300' });
  assert.deepEqual([late.status, late.json.code], [504, 'deadline_exceeded'], String(late.json.message));
  await call(url, version, 'v3lockpb.Lock/Unlock', { key: held.json.key ?? '' });
}

/** Compression both ways, a form instead of JSON, a body that waits for leave, an offer to go to HTTP/2. */
async function everyday(url: string, version: HttpVersion): Promise<void> {
  const value = base64('compressible '.repeat(10_000));
  await call(url, version, `${KV}/Put`, { key, value });
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ key });
  const small = await curl(`${url}/${KV}/Range`, { version, headers, body, options: ['--compressed'] });
  assert.equal(small.headers.get('content-encoding'), 'gzip');
  assert.partialDeepStrictEqual(JSON.parse(small.body), { kvs: [{ value }] });
  const form = await curl(`${url}/${KV}/Range`, { version, body });
  assert.equal(form.status, 415, 'what curl sends as its own content type');
  const upload = JSON.stringify({ key, value: base64('x'.repeat(800_000)) });
  const expect = ['--expect100-timeout', '60', '--header', 'expect: 100-continue'];
  const options = version === '2' ? [] : [...expect, '--http2'];
  const put = await curl(`${url}/${KV}/Put`, { version, headers, body: upload, options });
  assert.deepEqual([put.status, put.version], [200, version]);
}

async function tooLarge(url: string, version: HttpVersion): Promise<void> {
  const message = { key, value: base64('x'.repeat(1_600_000)) };
  const { status, json } = await call(url, version, `${KV}/Put`, message);
  assert.equal(status, 400);
  assert.deepEqual([json.code, json.message], ['invalid_argument', 'etcdserver: request is too large']);
}
