/**
 * Odd heads of gRPC requests get from the proxy what etcd itself answers: the same status of HTTP and gRPC, text and
 * content type. etcd is asked in plaintext, where gRPC's own server reads the frames, and it is the newest: the older
 * ones differ among themselves.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { atLeast, type EtcdCluster, newestEtcd, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { askRaw, type Fields } from './raw-head.ts';

const RANGE = '/etcdserverpb.KV/Range';

const several = (field: string, ...values: string[]): [name: string, fields: Fields][] =>
  values.map((value) => [`${field}: ${JSON.stringify(value)}`, { [field]: value }]);

const CASES: readonly (readonly [name: string, fields: Fields])[] = [
  ['nothing odd', {}],
  ...several(
    'content-type',
    'Application/GRPC',
    'application/GRPC',
    'application/grpc+json',
    'application/grpc+thrift',
    'application/grpc+proto',
    'application/grpc+PROTO',
    'application/grpc+',
    'application/grpc;charset=utf-8',
    'application/grpc; charset=utf-8',
    'application/grpc+proto;x',
    'application/grpc ; x',
    'application/grpcx',
    ' application/grpc',
    'application/grpc,application/grpc',
    'Application/grpc"+\\',
  ),
  ['no te', { te: undefined }],
  ...several(':scheme', 'https', 'HTTP', 'ftp', ''),
  ['an empty authority', { ':authority': '' }],
  ['a host beside the authority', { host: 'b' }],
  ['a host instead of the authority', { ':authority': undefined, host: 'b' }],
  ['an odd authority', { ':authority': 'a b/\u00e7' }],
  ['white space around a value', { 'x-y': ' a ' }],
  ['an upper-case name', { 'X-Upper': '1' }],
  ['a name that is none', { 'x y': '1' }],
  ['a NUL in a value', { 'x-y': 'a\0b' }],
  ['a line feed in a value', { 'x-y': 'a\nb' }],
  ['what grpc- names nobody knows', { 'grpc-foo': 'x' }],
  ['an expectation', { expect: '100-continue' }],
  ['a status in a request', { 'grpc-status': '1' }],
  ['an encoding of the content', { 'content-encoding': 'gzip' }],
  ...several(':method', 'GET', 'PUT', 'post', 'OPTIONS', 'HEAD', 'PO ST', 'G"T'),
  ...several(
    ':path',
    '',
    '*',
    'etcdserverpb.KV/Range',
    'Range',
    'a"b\\c',
    'http://a/etcdserverpb.KV/Range',
    '/',
    '//',
    '/Range',
    `${RANGE}?x=1`,
    `${RANGE}?`,
    `${RANGE}#x`,
    `${RANGE}/`,
    `/${RANGE}`,
    '/etcdserverpb.KV//Range',
    '/etcdserverpb.KV/',
    '/etcdserverpb.KV',
    '/etcdserverpb.KV/Ran%67e',
    '/etcdserverpb%2EKV/Range',
    '/etcdserverpb.KV/range',
    '/ETCDSERVERPB.KV/Range',
    '/../etcdserverpb.KV/Range',
    '/x/y/z',
    '/a b/c',
    '/x%zz/y',
    '/\u00e9/x',
    '/etcdserverpb.KV/Nothing',
    '/no.Such/Method',
    '/x/ ',
  ),
  ...several(
    'grpc-timeout',
    '',
    'soon',
    '1',
    'S',
    '1s',
    '-1S',
    '+1S',
    '1.5S',
    ' 1S',
    '1S ',
    '1 S',
    '0x1S',
    '1_0S',
    '"\\S',
    '999999999S',
    '99999999H',
    '00000009S',
    '0S',
    '0n',
  ),
  ...several('grpc-encoding', 'snappy', 'GZIP', 'deflate', 'gzip,identity', 'identity', ''),
  ...several('grpc-accept-encoding', 'gzip', 'snappy', ''),
  ['a GET of another subtype', { ':method': 'GET', 'content-type': 'application/grpc+json' }],
  ['a GET with a malformed timeout', { ':method': 'GET', 'grpc-timeout': 'x' }],
  ['a GET of a malformed path', { ':method': 'GET', ':path': 'x' }],
  ['a malformed path and timeout', { ':path': 'x', 'grpc-timeout': 'x' }],
  [
    'an odd content type and a malformed timeout',
    { 'content-type': 'application/grpcx', 'grpc-timeout': 'x' },
  ],
  ['an odd content type and a GET', { 'content-type': 'application/grpcx', ':method': 'GET' }],
  ['a malformed path and an unknown encoding', { ':path': 'x', 'grpc-encoding': 'snappy' }],
  ['another subtype and an unknown method', { ':path': '/a/b', 'content-type': 'application/grpc+json' }],
];

/** What a client acts upon. */
async function ask(address: string, fields: Fields) {
  const { fields: got, body, reset } = await askRaw(address, fields);
  return {
    httpStatus: got[':status'],
    contentType: got['content-type'],
    code: got['grpc-status'],
    message: got['grpc-message'],
    answered: body !== '',
    reset,
  };
}

const newest = await newestEtcd();

describe('odd gRPC requests', { skip: !atLeast(newest, 3, 6) && 'needs etcd 3.6' }, () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  before(async () => {
    etcd = await startEtcd({ install: newest });
    proxy = await startProxy({ endpoints: etcd.endpoints });
  });
  after(async () => {
    await proxy?.stop();
    await etcd?.stop();
  });

  for (const [name, fields] of CASES) {
    test(name, async () => {
      assert.deepEqual(await ask(proxy.address, fields), await ask(etcd.first.address, fields));
    });
  }

  test('whom an unknown encoding ends, learns which are known', async () => {
    const { fields } = await askRaw(proxy.address, { 'grpc-encoding': 'snappy' });
    assert.equal(fields['grpc-accept-encoding'], 'identity,gzip');
    const other = await askRaw(proxy.address, { ':path': 'x' });
    assert.equal(other.fields['grpc-accept-encoding'], undefined);
  });

  test('a request that is not gRPC and has no path is malformed', async () => {
    for (const path of ['', '*', 'health', 'http://a/health']) {
      const { reset } = await askRaw(proxy.address, { ':path': path, 'content-type': 'application/json' });
      assert.equal(reset, 1, path);
    }
  });

  test('none of it is a fault', () => {
    assert.ok(!proxy.process.stderr.includes('fault while serving'), proxy.process.stderr);
  });
});
