/**
 * Watches within a namespace, through the whole program: of the past, with fragments, filters and `prev_kv`, and what they
 * share with everybody else on the same keys.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import {
  KV,
  RangeRequestSchema,
  type RangeResponse,
  RangeResponseSchema,
  TxnRequestSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import { WatchCreateRequest_FilterType, type WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import { pathOf } from '../differential/rpc.ts';
import { startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { newestEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, put, remove, WatchCall } from '../support/watch-client.ts';

const PREFIX = 'tenant/';
const ALL = { key: b('\0'), rangeEnd: b('\0') };
const shared = (outcome: string): string => `etcd_proxy_namespace_shared_replies_total{outcome="${outcome}"}`;

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('latin1');
const eventsIn = (responses: readonly WatchResponse[]): string[] =>
  responses
    .flatMap(({ events }) => events)
    .map(({ type, kv, prevKv }) => `${type} ${text(kv?.key)} ${text(prevKv?.key)}`);

/** The responses until there are so many events. */
async function take(watch: WatchCall, events: number): Promise<WatchResponse[]> {
  const responses: WatchResponse[] = [];
  while (eventsIn(responses).length < events) responses.push(await watch.must());
  return responses;
}

/** Puts keys with one transaction. */
async function putAll(client: RawGrpcClient, keys: readonly string[]): Promise<void> {
  const success = keys.map((key) => ({
    request: { case: 'requestPut' as const, value: { key: b(key), value: b('v') } },
  }));
  const { code, message } = await client.call(pathOf(KV.method.txn), [
    toBinary(TxnRequestSchema, create(TxnRequestSchema, { success })),
  ]);
  assert.equal(code, 0, message);
}

async function readAll(client: RawGrpcClient): Promise<RangeResponse> {
  const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, ALL));
  const { messages, message } = await client.call(pathOf(KV.method.range), [request]);
  assert.ok(messages[0], message);
  return fromBinary(RangeResponseSchema, messages[0]);
}

for (const install of await newestEtcds())
  describe(`watches within a namespace, etcd ${install.version}`, () => {
    test('of the past, filtered, with previous pairs', async () => {
      await using etcd = await startEtcd({ install });
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: [`--namespace=${PREFIX}`] });
      using within = new RawGrpcClient(proxy.address);
      using direct = new RawGrpcClient(etcd.first.address);
      const start = await put(within, 'a', '1');
      await put(direct, 'a', 'of another');
      await put(direct, `${PREFIX}b`, 'written directly');
      await put(within, 'a', '2');
      await remove(within, 'a');
      const watch = new WatchCall(within);
      await watch.created({ ...ALL, startRevision: BigInt(start), prevKv: true });
      assert.deepEqual(eventsIn(await take(watch, 4)), ['0 a ', '0 b ', '0 a a', '1 a a']);
      watch.progress();
      const { watchId, header } = await watch.must();
      assert.deepEqual([watchId, header?.revision], [-1n, BigInt(start + 4)]);
      const deletes = new WatchCall(within);
      await deletes.created({
        ...ALL,
        startRevision: BigInt(start),
        filters: [WatchCreateRequest_FilterType.NOPUT],
      });
      assert.deepEqual(eventsIn(await take(deletes, 1)), ['1 a ']);
      for (const call of [watch, deletes]) call.close();
    });

    test('in fragments, and in one response of very many events', async () => {
      await using etcd = await startEtcd({
        install,
        args: ['--max-txn-ops=30000'],
        maxRequestBytes: 8 << 20,
      });
      const flags = [`--namespace=${PREFIX}`, '--watch-fragment-bytes=65536'];
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
      using within = new RawGrpcClient(proxy.address);
      const keys = Array.from({ length: 20_000 }, (_, i) => `key ${String(i).padStart(6, '0')}`);
      await putAll(within, keys);
      const [whole, cut] = [new WatchCall(within), new WatchCall(within)];
      await whole.created(ALL);
      await cut.created({ ...ALL, fragment: true });
      await remove(within, '\0', '\0');
      const expected = keys.map((key) => `1 ${key} `);
      const [one, ...more] = await take(whole, keys.length);
      assert.deepEqual([eventsIn([one as WatchResponse]), more.length], [expected, 0]);
      const parts = await take(cut, keys.length);
      assert.deepEqual(eventsIn(parts), expected);
      assert.ok(parts.length > 5);
      assert.deepEqual(
        parts.map(({ fragment }) => fragment),
        parts.map((_, at) => at < parts.length - 1),
      );
      // What has so many keys was rewritten in turns.
      assert.ok((await metric(proxy.url, 'etcd_proxy_namespace_messages_in_turns_total')) > 0);
      // Nothing comes before what is being rewritten: the watch goes on behind it.
      await put(within, 'after', '1');
      assert.deepEqual(eventsIn(await take(whole, 1)), ['0 after ']);
      for (const call of [whole, cut]) call.close();
    });

    test('of many clients are one watch on etcd, and each event is rewritten once', async () => {
      await using etcd = await startEtcd({ install });
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: [`--namespace=${PREFIX}`] });
      using within = new RawGrpcClient(proxy.address);
      const watches = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const watch = new WatchCall(within);
          await watch.created(ALL);
          return watch;
        }),
      );
      const before = await metric(proxy.url, shared('translated'));
      for (let i = 0; i < 10; i++) await put(within, `key ${i}`, 'x'.repeat(2000));
      for (const watch of watches) assert.equal(eventsIn(await take(watch, 10)).length, 10);
      const translated = (await metric(proxy.url, shared('translated'))) - before;
      assert.ok(translated <= 10, `${translated} were rewritten`);
      assert.ok((await metric(proxy.url, shared('found'))) >= 990);
      assert.equal(await etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total'), 1);
      for (const watch of watches) watch.close();
    });

    test('of a browser', async () => {
      await using etcd = await startEtcd({ install });
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: [`--namespace=${PREFIX}`] });
      using direct = new RawGrpcClient(etcd.first.address);
      const browser = createClient(
        Browser,
        createConnectTransport({ baseUrl: proxy.url, httpVersion: '1.1', useBinaryFormat: false }),
      );
      const ended = new AbortController();
      const responses = browser
        .watch({ key: b('a'), prevKv: true }, { signal: ended.signal })
        [Symbol.asyncIterator]();
      assert.equal((await responses.next()).value?.created, true);
      await put(direct, 'a', 'outside');
      await put(direct, `${PREFIX}a`, '1');
      assert.deepEqual(eventsIn([(await responses.next()).value as WatchResponse]), ['0 a ']);
      ended.abort();
    });

    test('inside a prefix that is held in memory cost etcd none, and reads are answered from it', async () => {
      await using etcd = await startEtcd({ install });
      const flags = [`--namespace=${PREFIX}`, `--cache-prefix=${PREFIX}`];
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
      using within = new RawGrpcClient(proxy.address);
      await put(within, 'a', '1');
      const served = `etcd_proxy_mirror_state{prefix="${PREFIX}",state="serving"}`;
      await until('the prefix is held', async () => (await metric(proxy.url, served)) === 1);
      const watch = new WatchCall(within);
      await watch.created(ALL);
      const revision = await put(within, 'b', '2');
      assert.deepEqual(eventsIn(await take(watch, 1)), ['0 b ']);
      const { kvs, header } = await readAll(within);
      assert.deepEqual(
        kvs.map(({ key }) => text(key)),
        ['a', 'b'],
      );
      assert.equal(header?.revision, BigInt(revision));
      assert.ok((await metric(proxy.url, 'etcd_proxy_mirror_hits_total')) > 0);
      assert.equal(await etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total'), 1);
      watch.close();
    });
  });
