/** `--listen-namespace`: one proxy, several namespaces, all with everything that a listener has. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { KV } from '../../src/etcd/methods.ts';
import { ServicesOfClients } from '../../src/namespace/services-of-clients.ts';
import { clientFields } from '../../src/observe/log.ts';
import { ITSELF } from '../../src/rpc/client.ts';
import type { Services } from '../../src/rpc/contract.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { pageInTime } from '../support/health-page.ts';
import { metric, proxyMetrics } from '../support/metrics.ts';
import { tempDir } from '../support/process.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put, remove, WatchCall } from '../support/watch-client.ts';
import { type NamespacedProxy, startNamespaces } from './listeners.ts';

const RANGE = KV.Range.path;
const [A, B] = ['a/', 'b/'];
/** Within the first one. */
const INNER = 'a/i/';
const read = (key: string) => toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b(key) }));

describe('several namespaces on one proxy', () => {
  let etcd: EtcdCluster;
  let proxy: NamespacedProxy;

  before(async () => {
    etcd = await startEtcd();
    const flags = ['--cors-allowed-origins=https://site.example'];
    proxy = await startNamespaces([A, B, INNER], { endpoints: etcd.endpoints, flags });
  });

  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await etcd.stop();
  });

  test('share what watches etcd', async () => {
    using inA = new RawGrpcClient(proxy.at(A));
    using inB = new RawGrpcClient(proxy.at(B));
    using whole = new RawGrpcClient(proxy.at(''));
    const watches = [new WatchCall(inA), new WatchCall(whole), new WatchCall(inB)];
    const [ofA, ofWhole, ofB] = watches as [WatchCall, WatchCall, WatchCall];
    await ofA.created({ key: b('k') });
    await ofWhole.created({ key: b('a/k') });
    await ofB.created({ key: b('k') });
    assert.equal(await metric(proxy.proxy.url, 'etcd_proxy_watch_watchers'), 3);
    // One for a/k, whoever calls it how, and one for b/k.
    assert.equal(await metric(proxy.proxy.url, 'etcd_proxy_watch_feeds'), 2);
    await put(inA, 'k', 'v');
    const keys = [(await ofA.must()).events, (await ofWhole.must()).events].map(([event]) =>
      Buffer.from(event?.kv?.key ?? []).toString(),
    );
    assert.deepEqual(keys, ['k', 'a/k']);
    assert.equal(ofB.call.unread, 0);
    for (const watch of watches) watch.close();
  });

  test('may lie within each other: the outer one has the keys of the inner one, and the inner one no others', async () => {
    using outer = new RawGrpcClient(proxy.at(A));
    using inner = new RawGrpcClient(proxy.at(INNER));
    const all = { key: b('\0'), rangeEnd: b('\0') };
    const keysOf = async (client: RawGrpcClient): Promise<string[]> => {
      const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, all));
      const { messages, message } = await client.call(RANGE, [request]);
      assert.ok(messages[0], message);
      return fromBinary(RangeResponseSchema, messages[0]).kvs.map(({ key }) => Buffer.from(key).toString());
    };
    await remove(outer, '\0', '\0');
    const watches = [new WatchCall(outer), new WatchCall(inner)] as const;
    for (const watch of watches) await watch.created(all);
    // The key that is the inner prefix itself is the outer one's alone, as are those around it.
    const written: string[] = [];
    for (const key of ['i', 'i.', 'i/', 'i/k', 'i0', 'x']) {
      await put(outer, key, 'v');
      written.push(key);
    }
    await put(inner, 'own', 'v');
    written.push('i/own');
    assert.deepEqual(await keysOf(outer), written.toSorted());
    assert.deepEqual(await keysOf(inner), ['k', 'own']);
    const told = async (watch: WatchCall, count: number): Promise<string[]> => {
      const keys: string[] = [];
      while (keys.length < count)
        for (const { kv } of (await watch.must()).events) keys.push(Buffer.from(kv?.key ?? []).toString());
      return keys;
    };
    assert.deepEqual(await told(watches[0], written.length), written);
    assert.deepEqual(await told(watches[1], 2), ['k', 'own']);
    await remove(inner, '\0', '\0');
    assert.deepEqual(await keysOf(outer), ['i', 'i.', 'i/', 'i0', 'x']);
    for (const watch of watches) watch.close();
  });

  test('have their pages, and say who may call', async () => {
    for (const namespace of [A, B, '']) {
      const url = `http://${proxy.at(namespace)}`;
      const headers = { origin: 'https://site.example' };
      const health = await pageInTime(`${url}/health`, { headers });
      assert.equal(health.status, 200);
      assert.equal(health.headers.get('access-control-allow-origin'), 'https://site.example');
      assert.match(health.text, /"health":"true"/);
      for (const page of ['/proxy/health', '/metrics', '/proxy/metrics'])
        assert.equal((await pageInTime(url + page)).status, 200, page);
    }
  });

  test('are counted one by one', async () => {
    using inB = new RawGrpcClient(proxy.at(B));
    const of = (name: string) => metric(proxy.proxy.url, `etcd_proxy_namespace_${name}`);
    const ok = 'handled_total{namespace="b/",grpc_code="OK"}';
    await inB.call(RANGE, [read('k')]);
    const before = { started: await of('started_total{namespace="b/"}'), ok: await of(ok) };
    const series =
      'grpc_server_started_total{grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Range"}';
    const all = await metric(proxy.proxy.url, series);
    await inB.call(RANGE, [read('k')]);
    assert.equal(await of('started_total{namespace="b/"}'), before.started + 1);
    assert.equal(await of(ok), before.ok + 1);
    // That of a client before may end a little later than its client.
    await until('one connection is left', async () => (await of('http2_connections{namespace="b/"}')) === 1);
    assert.equal(await metric(proxy.proxy.url, series), all + 1);
  });

  test('end in order', async () => {
    const ending = await startNamespaces([A], { endpoints: etcd.endpoints });
    using inA = new RawGrpcClient(ending.at(A));
    const watch = new WatchCall(inA);
    await watch.created({ key: b('k') });
    const { code } = await ending.proxy.process.stop('SIGTERM', 20_000);
    assert.equal(code, 0);
    assert.equal((await watch.end).code, 14);
  });

  test('speak TLS where the proxy does', async () => {
    const flags = ['--auto-tls', `--data-dir=${await tempDir('namespaces-tls')}`];
    await using secure = await startNamespaces([A], { endpoints: etcd.endpoints, flags });
    const [host, port] = secure.at(A).split(':');
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    await until('a handshake', () => socket.alpnProtocol === 'h2');
    socket.destroy();
  });
});

test('without namespaces no series has one', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startNamespaces([], { endpoints: etcd.endpoints });
  assert.doesNotMatch(await proxyMetrics(proxy.proxy.url), /namespace="/);
});

test('lines of the log name the namespace of a client, where it has one', () => {
  assert.equal(clientFields({ ...ITSELF, namespace: A }).namespace, A);
  assert.equal(clientFields(ITSELF).namespace, undefined);
});

test('a call that came in nowhere, or where nobody knows, is not served', async () => {
  const answer = Uint8Array.of(1);
  const whole: Services = {
    method: () => KV.Range,
    unary: () => () => answer,
    stream: () => () => assert.fail('served'),
  };
  const services = new ServicesOfClients(new Map([['', whole]]));
  const handler = services.unary(RANGE);
  assert.ok(handler);
  const callOf = (client = ITSELF) => new OwnCall(KV.Range, NO_METADATA, Number.POSITIVE_INFINITY, client);
  assert.throws(() => handler(read('k'), callOf()));
  assert.throws(() => handler(read('k'), callOf({ ...ITSELF, namespace: 'unheard/' })));
  assert.equal(handler(read('k'), callOf({ ...ITSELF })), answer);
});
