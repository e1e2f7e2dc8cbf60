/**
 * Clients that are users of etcd by their certificates, elsewhere than at the usual address over gRPC: within namespaces,
 * which may be isolated strictly, and by etcd's JSON; and the map when the proxy is told to read it again.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { NamespacedProxy } from '../namespace/listeners.ts';
import { bytes } from '../reads/clients.ts';
import { newestEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';
import { WatchCall } from '../support/watch-client.ts';
import type { Pair } from '../tls/pki.ts';
import { clientOptions, curl, curlTls, metrics, series } from '../tls/support.ts';
import { DENIED, files, get, NOBODY, PASSWORD, pairs, put, READER, setUp, WRITER } from './certified.ts';

const TIMEOUT = { timeout: 120_000 };
const NAMESPACES = ['/a/', '/b/'].map((prefix) => `--listen-namespace=127.0.0.1:0=${prefix}`);

/** Asks etcd's JSON; the answer, and the status of HTTP behind it. */
async function json(address: string, pair: Pair, path: string, body: object): Promise<string> {
  const args = ['-d', JSON.stringify(body), `https://${address}/v3/${path}`];
  return (await curl([...curlTls(files.ca, pair), ...args])).stdout;
}

/** The first piece of an answer that goes on. */
async function firstOf(address: string, pair: Pair, path: string, body: object): Promise<string> {
  const options = { ...clientOptions(address, files.ca, pair), method: 'POST', path: `/v3/${path}` };
  const asked = request(options).end(JSON.stringify(body));
  const [answer] = (await once(asked, 'response', { signal: AbortSignal.timeout(60_000) })) as [
    IncomingMessage,
  ];
  for await (const piece of answer) return String(piece);
  return '';
}

const key = (text: string) => Buffer.from(text).toString('base64');

for (const isolation of ['keys', 'strict'] as const)
  test(`within namespaces, kept from others by ${isolation}`, TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const flags = [...NAMESPACES, `--namespace-isolation=${isolation}`];
    const { auth, proxy, doors, raw, signIns } = await setUp(held, await newestEtcd(), 'simple', flags);
    await auth.authEnable({});
    const places = new NamespacedProxy(proxy);
    const [inA, inB] = [places.at('/a/'), places.at('/b/')];
    for (const door of ['gRPC', 'Connect over HTTP/1.1', 'gRPC-Web over HTTP/2'] as const) {
      const at = (pair: Pair, address: string) => createClient(KV, doors(pair, address)[door]);
      assert.deepEqual(
        [await get(at(pairs.reader, inA), 'x'), await get(at(pairs.reader, inB), 'x')],
        ['ok', DENIED],
        door,
      );
      assert.deepEqual(
        [await put(at(pairs.writer, inB), 'x'), await put(at(pairs.writer, inA), 'x')],
        ['ok', DENIED],
        door,
      );
      assert.equal(await get(at(pairs.stranger, inA), 'x'), NOBODY, door);
    }
    const range = { key: key('x') };
    assert.match(await json(inA, pairs.reader, 'kv/range', range), /"header".* 200$/s);
    assert.match(await json(inB, pairs.reader, 'kv/range', range), /permission denied.* 403$/s);
    assert.match(await json(inB, pairs.writer, 'kv/put', range), /"header".* 200$/s);
    // Streams: watches, of which one is refused, and heartbeats.
    const watch = new WatchCall(raw(pairs.reader, inA));
    await watch.created({ key: bytes('x') });
    watch.close();
    const denied = new WatchCall(raw(pairs.reader, inB));
    denied.create({ key: bytes('x') });
    assert.match((await denied.must()).cancelReason, /permission denied/);
    denied.close();
    const lease = createClient(Lease, doors(pairs.writer, inB).gRPC);
    const { ID } = await lease.leaseGrant({ TTL: 60n });
    async function* heartbeat() {
      yield { ID };
    }
    for await (const { TTL } of lease.leaseKeepAlive(heartbeat())) assert.equal(TTL, 60n);
    assert.equal(await signIns(), 2, 'one for each user, wherever its clients come in');
  });

test("by etcd's JSON, and after SIGHUP as the map says then", TIMEOUT, async () => {
  await using held = new AsyncDisposableStack();
  const { auth, proxy, map, doors, signIns } = await setUp(held, await newestEtcd(), 'simple');
  await auth.authEnable({});
  const { address } = proxy;
  const at = (name: string) => ({ key: key(name) });
  assert.match(await json(address, pairs.reader, 'kv/range', at('/a/x')), /"header".* 200$/s);
  assert.match(await json(address, pairs.reader, 'kv/range', at('/b/x')), /permission denied.* 403$/s);
  assert.match(await json(address, pairs.reader, 'kv/put', at('/a/x')), /permission denied.* 403$/s);
  assert.match(await json(address, pairs.writer, 'kv/put', at('/b/x')), /"header".* 200$/s);
  assert.match(await json(address, pairs.stranger, 'kv/range', at('/a/x')), /user name is empty.* 400$/s);
  const watched = (name: string) => firstOf(address, pairs.reader, 'watch', { create_request: at(name) });
  assert.match(await watched('/b/x'), /"canceled":true.*permission denied/);
  assert.match(await watched('/a/x'), /"created":true/);
  assert.equal(await signIns(), 2);

  const reloads = async () =>
    series(await metrics(files, proxy), 'etcd_proxy_tls_reloads_total{side="cn-map",result="ok"}');
  const before = await reloads();
  proxy.process.signal('SIGHUP');
  await until('the file is read again', async () => (await reloads()) > before);
  const kv = createClient(KV, doors(pairs.reader).gRPC);
  assert.equal(await get(kv, '/a/x'), 'ok');
  assert.equal(await signIns(), 2, 'who stays the same keeps its token');

  await writeFile(map, JSON.stringify({ 'web: front, end=1': { name: WRITER, password: PASSWORD } }));
  proxy.process.signal('SIGHUP');
  await until('the client is somebody else', async () => (await get(kv, '/a/x')) === DENIED);
  assert.equal(await put(kv, '/b/x'), 'ok');
  assert.equal(await signIns(), 2, 'the writer has signed in already');
  await writeFile(map, JSON.stringify({ 'batch at night': { name: READER, password: PASSWORD } }));
  proxy.process.signal('SIGHUP');
  await until('the client is nobody', async () => (await get(kv, '/a/x')) === NOBODY);
});
