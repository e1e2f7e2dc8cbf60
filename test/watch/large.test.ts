/** Responses that are large: what etcd sends as one reaches clients as one, and costs etcd no more than directly. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import { Code } from '../../src/rpc/status.ts';
import {
  atLeast,
  type EtcdCluster,
  type EtcdInstall,
  experimental,
  newestEtcd,
  startEtcd,
} from '../support/etcd.ts';
import { spentBy } from '../support/etcd-load.ts';
import { cutOff, statusOf, untilStatus } from '../support/members.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, type Create, put, remove, span, WatchCall } from '../support/watch-client.ts';
import { KIB, MIB } from './scripted-hub.ts';

/** As in etcd's own tests of fragments. */
const PUTS = 10;
const VALUE = 'a'.repeat(MIB);
const FOO: Create = { key: b('foo'), rangeEnd: b('fop'), startRevision: 2n };

/** The responses with so many events. */
async function responses(watch: WatchCall, count: number): Promise<WatchResponse[]> {
  const got: WatchResponse[] = [];
  for (let events = 0; events < count; ) {
    const response = await watch.must(60_000);
    got.push(response);
    events += response.events.length;
  }
  return got;
}

const sizes = (got: readonly WatchResponse[]): number[] => got.map(({ events }) => events.length);

for (const install of await outerEtcds()) {
  describe(`etcd ${install.version}`, () => {
    let etcd: EtcdCluster;
    let proxy: RunningProxy;
    let direct: RawGrpcClient;

    before(async () => {
      etcd = await startEtcd({ install });
      proxy = await startProxy({ endpoints: etcd.endpoints });
      direct = new RawGrpcClient(etcd.first.address);
      for (let i = 0; i < PUTS; i++) await put(direct, `foo${i}`, VALUE);
    });
    after(async () => {
      direct[Symbol.dispose]();
      await proxy.stop();
      await etcd.stop();
    });

    test('a backlog of 10 MiB is one response, and fragments for who asks for them', async () => {
      for (const address of [etcd.first.address, proxy.address]) {
        using client = new RawGrpcClient(address);
        const whole = new WatchCall(client);
        await whole.created(FOO);
        assert.deepEqual(sizes(await responses(whole, PUTS)), [PUTS], address);
        // A client that takes no more than etcd's limit for requests gets it in fragments only.
        using small = new RawGrpcClient(address, { 'grpc.max_receive_message_length': 1536 * KIB });
        const cut = new WatchCall(small);
        await cut.created({ ...FOO, fragment: true });
        const parts = await responses(cut, PUTS);
        assert.deepEqual(
          parts.map(({ events, fragment }) => [events.length, fragment]),
          Array.from({ length: PUTS }, (_, i) => [1, i < PUTS - 1]),
          address,
        );
        const refused = new WatchCall(small);
        await refused.created(FOO);
        assert.equal(await refused.next(60_000), undefined);
        assert.equal((await refused.end).code, Code.RESOURCE_EXHAUSTED);
      }
    });

    test('fragments are cut where etcd cuts, once the proxy is told of its limit', async () => {
      const maxRequestBytes = 100 * KIB;
      await using own = await startEtcd({ install, maxRequestBytes });
      const flag = `--watch-fragment-bytes=${maxRequestBytes + 512 * KIB}`;
      await using told = await startProxy({ endpoints: own.endpoints, flags: [flag] });
      using writer = new RawGrpcClient(own.first.address);
      for (let i = 0; i < 25; i++) await put(writer, `foo${i}`, 'v'.repeat(3000 * i));
      const cuts: unknown[] = [];
      for (const address of [own.first.address, told.address]) {
        using client = new RawGrpcClient(address);
        const watch = new WatchCall(client);
        await watch.created({ ...FOO, fragment: true });
        cuts.push((await responses(watch, 25)).map(({ events, fragment }) => [events.length, fragment]));
      }
      assert.ok((cuts[0] as unknown[]).length > 1);
      assert.deepEqual(cuts[1], cuts[0]);
    });

    test('one that is larger than the proxy may receive is asked for in fragments', async () => {
      await using narrow = await startProxy({
        endpoints: etcd.endpoints,
        flags: [`--max-recv-bytes=${4 * MIB}`],
      });
      using client = new RawGrpcClient(narrow.address);
      const watch = new WatchCall(client);
      await watch.created(FOO);
      assert.deepEqual(sizes(await responses(watch, PUTS)), [PUTS]);
      assert.equal(await metric(narrow.url, 'etcd_proxy_watch_limits_total{limit="fragments"}'), 1);
    });

    test('a delete of many keys costs etcd what it costs directly', async () => {
      const costs: number[] = [];
      for (const address of [etcd.first.address, proxy.address]) {
        await fill(direct, 'big/', MANY_KEYS);
        using client = new RawGrpcClient(address);
        const watch = new WatchCall(client);
        await watch.created({ key: b('big/'), rangeEnd: b('big0') });
        const { cpu } = await spentBy(etcd.first);
        const [got] = await Promise.all([responses(watch, MANY_KEYS), remove(direct, 'big/', 'big0')]);
        assert.deepEqual(sizes(got), [MANY_KEYS]);
        costs.push((await spentBy(etcd.first)).cpu - cpu);
      }
      const [own, proxied] = costs as [number, number];
      assert.ok(proxied < 2 * own + 1, `etcd's CPU: ${own} s directly, ${proxied} s through the proxy`);
    });
  });
}

test('a backlog of more than 64 MiB comes in whole revisions', async () => {
  await using etcd = await startEtcd({ install: await newestEtcd() });
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  for (let i = 0; i < BACKLOG_MIB; i++) await put(direct, `foo${i % 10}`, VALUE);
  const watch = new WatchCall(client);
  await watch.created(FOO);
  const got = await responses(watch, BACKLOG_MIB);
  assert.deepEqual(
    got.flatMap(({ events }) => events.map(({ kv }) => Number(kv?.modRevision))),
    span(2, BACKLOG_MIB + 1),
  );
  assert.equal(got.length, 2);
  assert.equal(await metric(proxy.url, 'etcd_proxy_watch_limits_total{limit="response_bytes"}'), 1);
});

const BACKLOG_MIB = 80;

/** More than the 2 MiB from which on etcd cuts; fragments of these cost it some twenty seconds of CPU. */
const MANY_KEYS = 50_000;

/** Puts so many keys of 40 bytes. */
async function fill(client: RawGrpcClient, prefix: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += 125) {
    const success = span(from, Math.min(from + 124, count - 1)).map((i) => ({
      request: {
        case: 'requestPut' as const,
        value: { key: b(prefix + String(i).padStart(40 - prefix.length, '0')), value: b('v') },
      },
    }));
    const message = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success }));
    const { code, message: text } = await client.call('/etcdserverpb.KV/Txn', [message]);
    assert.equal(code, Code.OK, text);
  }
}

/** Revisions to come when the watch begins, after those that the cluster makes itself. */
const FUTURE = 3;
const RESTORED_PUTS = 12;

/** Whether a release can be told how many entries members keep for those who lag; only further back a snapshot is what they send. */
const settable = (install: EtcdInstall): boolean => atLeast(install, 3, 5);

describe('a member that lagged and was restored from a snapshot', async () => {
  // Before 3.5 it takes thousands of writes until one is needed.
  for (const install of (await outerEtcds()).filter((each) => LONG || settable(each)))
    test(`tells a watch what it missed in one response: etcd ${install.version}`, () => restored(install));
});

async function restored(install: EtcdInstall): Promise<void> {
  const kept = settable(install) ? 100 : 5000;
  const args = ['--snapshot-count=10'];
  if (settable(install)) args.push(`${experimental(install, 'snapshot-catchup-entries')}=${kept}`);
  await using etcd = await startEtcd({ install, members: 3, peerRelays: true, args });
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using direct = new RawGrpcClient(etcd.first.address);
  using others = new RawGrpcClient(etcd.member(1).address);
  using client = new RawGrpcClient(proxy.address);
  const { id } = await statusOf(etcd.first);
  const watches = [new WatchCall(direct), new WatchCall(client)];
  for (const watch of watches) {
    const now = new WatchCall(direct);
    const { header } = await now.created({ key: b('foo') });
    now.close();
    const startRevision = (header?.revision ?? 0n) + BigInt(FUTURE);
    await watch.created({ key: b('foo'), startRevision });
  }
  await cutOff(etcd, 0);
  await untilStatus(etcd.member(1), ({ leader }) => leader !== 0n && leader !== id, 'led by another one');
  for (let i = 0; i < RESTORED_PUTS; i++) await put(others, 'foo', `${i}`);
  for (let i = 0; i < kept + 100; i += 100)
    await Promise.all(Array.from({ length: 100 }, () => put(others, 'elsewhere', '')));
  etcd.links?.heal(0, id);
  await until('a snapshot has come', () => etcd.first.log.includes('applied snapshot'), 60_000);
  for (const watch of watches) {
    const response = await watch.must(60_000);
    assert.equal(response.events.length, RESTORED_PUTS - FUTURE + 1);
  }
}
