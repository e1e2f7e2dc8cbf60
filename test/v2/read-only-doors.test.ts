/** `--proxy=readonly` in front of a real etcd: through no door anything is written, and everything is read. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { create, toBinary, toJson } from '@bufbuild/protobuf';
import { TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { PATHS } from '../../src/web/gateway/paths.ts';
import { pathOf } from '../../src/web/schemas.ts';
import { type EtcdCluster, etcdctl, startEtcd } from '../support/etcd.ts';
import { METHODS } from '../support/methods.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { ACCESS } from './access.ts';

const NOTHING = new Uint8Array(0);
const REFUSED = /^etcd-connect-proxy: this proxy is read-only \(--proxy=readonly\), and \w+ may write$/;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

let etcd: EtcdCluster;
let proxy: RunningProxy;
before(async () => {
  etcd = await startEtcd();
  proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--proxy=readonly'] });
  const put = await etcd.etcdctl(['put', 'key', 'value']);
  assert.equal(put.code, 0, put.stderr);
});
after(async () => {
  await proxy?.stop();
  await etcd?.stop();
});

/** Posts JSON and gives the status of HTTP and what came. */
async function post(path: string, body: unknown = {}): Promise<[status: number, text: string]> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${proxy.url}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  return [response.status, await response.text()];
}

const methods = Object.entries(ACCESS).map(([path, access]) => ({
  path,
  access,
  kind: METHODS.get(path)?.kind,
}));
const writes = methods.filter(({ access }) => access === 'writes');
/** Those that answer an empty request, and once. */
const asked = methods.filter(({ access, kind }) => access !== 'writes' && kind === 'unary');

/** A transaction that writes, and one that does not, though its operations lie within another one. */
const txns = [false, true].map((isWrite) =>
  create(TxnRequestSchema, {
    success: [
      {
        request: {
          case: 'requestTxn',
          value: {
            success: [
              isWrite
                ? { request: { case: 'requestPut', value: { key: Buffer.from('new') } } }
                : { request: { case: 'requestRange', value: { key: Buffer.from('key') } } },
            ],
          },
        },
      },
    ],
  }),
);

test('gRPC', async () => {
  using client = new RawGrpcClient(proxy.address);
  for (const { path } of writes) {
    const { code, message } = await client.call(path, [NOTHING]);
    assert.equal(code, 12, path);
    assert.match(message, REFUSED, path);
  }
  for (const { path } of asked)
    assert.doesNotMatch((await client.call(path, [NOTHING])).message, REFUSED, path);
  const unknown = await client.call('/etcdserverpb.KV/Put2', [NOTHING]);
  assert.match(unknown.message, /read-only/);
  const [look, write] = txns.map((txn) => toBinary(TxnRequestSchema, txn)) as [Uint8Array, Uint8Array];
  assert.equal((await client.call('/etcdserverpb.KV/Txn', [look])).code, 0);
  assert.match((await client.call('/etcdserverpb.KV/Txn', [write])).message, REFUSED);
});

test('JSON of etcd, over HTTP and over WebSocket', async () => {
  for (const [path, method] of PATHS) {
    if (ACCESS[pathOf(method)] !== 'writes') continue;
    const [status, text] = await post(`/v3/${path}`);
    assert.equal(status, 501, path);
    const { code, message, error } = JSON.parse(text);
    assert.deepEqual(
      [code ?? error.grpc_code, REFUSED.test(message ?? error.message)],
      [12, true],
      `${path}: ${text}`,
    );
  }
  const [look, write] = txns.map((txn) => toJson(TxnRequestSchema, txn));
  assert.equal((await post('/v3/kv/txn', look))[0], 200);
  assert.equal((await post('/v3/kv/txn', write))[0], 501);
  const [status, read] = await post('/v3/kv/range', { key: base64('key') });
  assert.equal(status, 200);
  assert.equal(JSON.parse(read).kvs[0].value, base64('value'));
  const socket = new WebSocket(`ws://${proxy.address}/v3/lease/keepalive`);
  const told = new Promise<string>((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(String(data)));
  });
  socket.addEventListener('open', () => socket.send('{"ID":"1"}'));
  assert.match(await told, /read-only/);
  socket.close();
});

test('Connect and gRPC-Web, and what stands in for streams of both sides', async () => {
  for (const { path, kind } of writes) {
    if (kind === 'bidi_stream') continue;
    const [status, text] = await post(path);
    assert.deepEqual([status, JSON.parse(text).code], [501, 'unimplemented'], path);
    assert.match(JSON.parse(text).message, REFUSED, path);
    const response = await fetch(`${proxy.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc-web+proto' },
      body: Buffer.alloc(5),
    });
    const body = await response.text();
    assert.match(`grpc-status: ${response.headers.get('grpc-status')}\n${body}`, /grpc-status: ?12/i, path);
  }
  const [, read] = await post('/etcdserverpb.KV/Range', { key: base64('key') });
  assert.equal(JSON.parse(read).kvs[0].value, base64('value'));
});

test('keys as resources', async () => {
  assert.equal((await fetch(`${proxy.url}/kv/key`)).status, 200);
  for (const method of ['PUT', 'DELETE'])
    assert.equal(
      (await fetch(`${proxy.url}/kv/key`, method === 'PUT' ? { method, body: 'x' } : { method })).status,
      501,
      method,
    );
});

test('etcdctl reads, watches and takes snapshots, and writes nothing', async () => {
  const run = (...args: string[]) => etcdctl(etcd.install, [proxy.address], args);
  for (const args of [
    ['get', 'key'],
    ['endpoint', 'health'],
    ['endpoint', 'status'],
    ['endpoint', 'hashkv'],
    ['member', 'list'],
    ['alarm', 'list'],
    ['lease', 'list'],
    ['role', 'list'],
    ['snapshot', 'save', `${etcd.first.folder}/snapshot`],
  ]) {
    const { code, stderr } = await run(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  }
  for (const args of [
    ['put', 'key', 'other'],
    ['del', 'key'],
    ['lease', 'grant', '10'],
    ['compact', '2'],
    ['lock', 'l'],
  ]) {
    const { code, stderr } = await run(...args);
    assert.notEqual(code, 0, args.join(' '));
    assert.match(stderr, /read-only/, args.join(' '));
  }
  using client = new RawGrpcClient(proxy.address);
  const watch = client.open('/etcdserverpb.Watch/Watch');
  watch.send(Buffer.concat([Uint8Array.of(0x0a, 0x05, 0x0a, 0x03), Buffer.from('key')]));
  assert.notEqual(await watch.next(), undefined); // created
  const { code } = await etcd.etcdctl(['put', 'key', 'changed']);
  assert.equal(code, 0);
  assert.match(Buffer.from((await watch.next()) ?? []).toString('latin1'), /changed/);
  watch.cancel();
});

test('nothing was written', async () => {
  const { stdout } = await etcd.etcdctl(['get', '', '--from-key', '--print-value-only=false']);
  assert.equal(stdout, 'key\nchanged\n');
});
