/** What the proxy counts of its watches, to the last one. The incumbent's gauge of shared watchers goes below zero (W6). */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WatchCreateRequest_FilterType as Filter } from '#gen/etcdserverpb/watch_pb.js';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { b, type Create, compact, put, remove, WatchCall } from '../support/watch-client.ts';

const held = new AsyncDisposableStack();
let etcd: EtcdCluster;
let relay: Relay;
let proxy: RunningProxy;
let direct: RawGrpcClient;
let client: RawGrpcClient;

before(async () => {
  etcd = held.use(await startEtcd());
  relay = held.use(await Relay.open(etcd.first.address));
  proxy = held.use(await startProxy({ endpoints: [relay.address], flags: ['--dial-timeout=60s'] }));
  direct = held.use(new RawGrpcClient(etcd.first.address));
  client = held.use(new RawGrpcClient(proxy.address));
});
after(() => held.disposeAsync());

const onEtcd = (): Promise<number> => etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
const count = (name: string): Promise<number> => metric(proxy.url, `etcd_proxy_watch_${name}`);
const sharedWatchers = (): Promise<number> => metric(proxy.url, 'etcd_grpc_proxy_watchers_coalescing_total');
const sharedEvents = (): Promise<number> => metric(proxy.url, 'etcd_grpc_proxy_events_coalescing_total');

/** The counters that grow with deliveries. */
async function flow(): Promise<{ in: number; out: number; bytes: number; shared: number; events: number }> {
  const [events, deliveries, bytes, shared] = await Promise.all(
    ['events_in_total', 'deliveries_total', 'bytes_out_total', 'bytes_shared_total'].map(count),
  );
  return {
    in: events as number,
    out: deliveries as number,
    bytes: bytes as number,
    shared: shared as number,
    events: await sharedEvents(),
  };
}

async function open(watch: Create): Promise<WatchCall> {
  const call = new WatchCall(client);
  await call.created(watch);
  return call;
}

describe('counters of watches', { concurrency: 1 }, () => {
  test('three watchers of a key and four puts: one watch on etcd, four events in, twelve out', async () => {
    const first = await flow();
    const calls = [await open({ key: b('m') }), await open({ key: b('m') }), await open({ key: b('m') })];
    assert.deepEqual([await count('watchers'), await count('feeds'), await sharedWatchers()], [3, 1, 2]);
    for (let i = 0; i < 4; i++) await put(direct, 'm', 'v');
    for (const call of calls) await call.revisions(4);
    const after = await flow();
    const bytes = after.bytes - first.bytes;
    assert.ok(bytes > 0);
    const grown = { in: first.in + 4, out: first.out + 12, events: first.events + 8 };
    assert.deepEqual(after, { ...grown, bytes: first.bytes + bytes, shared: first.shared + bytes });
    for (const call of calls) call.close();
  });

  test('what filters leave out is not counted as delivered, what is made for one client not as shared', async () => {
    const start = await put(direct, 'm', '1');
    const all = await open({ key: b('m') });
    const deletes = await open({ key: b('m'), filters: [Filter.NOPUT] });
    const before = await flow();
    await put(direct, 'm', '2');
    await remove(direct, 'm');
    await all.revisions(2);
    await deletes.revisions(1);
    const delivered = await flow();
    assert.equal(delivered.out - before.out, 3);
    assert.equal(delivered.shared - before.shared, delivered.bytes - before.bytes);
    // Three responses of the history in one: a copy.
    const late = await open({ key: b('m'), startRevision: BigInt(start) });
    await late.revisions(3);
    const copied = await flow();
    assert.equal(copied.in, delivered.in);
    assert.equal(copied.shared, delivered.shared);
    assert.ok(copied.bytes > delivered.bytes);
    for (const call of [all, deletes, late]) call.close();
  });

  test('watches that come and go, on this range and on others, leave the gauges where they were', async () => {
    const calls = [await open({ key: b('w6') }), await open({ key: b('w6') }), await open({ key: b('w6') })];
    assert.equal(await sharedWatchers(), 2);
    for (let i = 0; i < 5; i++) (await open({ key: b(`w6/${i}`) })).close();
    await until('three watchers', async () => (await count('watchers')) === 3);
    // Their feeds wait for somebody; that takes nothing from those that are shared.
    assert.ok((await count('feeds')) >= 6);
    assert.equal(await sharedWatchers(), 2);

    const [canceled, refused, compacted] = calls as [WatchCall, WatchCall, WatchCall];
    canceled.cancel(0n);
    assert.equal((await canceled.must()).canceled, true);
    assert.deepEqual([await count('watchers'), await sharedWatchers()], [2, 1]);
    refused.create({ key: b('b'), rangeEnd: b('a') });
    assert.equal((await refused.must()).canceled, true);
    const now = await put(direct, 'elsewhere', 'v');
    await compact(direct, now);
    compacted.create({ key: b('w6'), startRevision: 1n });
    while (!(await compacted.must()).canceled);
    for (const call of calls) call.close();
    await until('no watchers', async () => (await count('watchers')) === 0);
    assert.equal(await sharedWatchers(), 0);
    assert.equal(await count('lagging_watchers'), 0);
  });

  test('a silent range does not lag; a feed without a stream does, until it has one again', async () => {
    const silent = await open({ key: b('silent') });
    const busy = await open({ key: b('busy') });
    const happens = async (): Promise<number> => {
      const revision = await put(direct, 'busy', 'v');
      await busy.revisions(1);
      return revision;
    };
    const last = await happens();
    assert.equal(await count('applied_revision'), last);
    assert.equal(await count('applied_lag'), 0);
    const lag = (): Promise<number> => count('applied_lag');
    // The silent feed lags unless etcd is asked how far it is just before the end, which it is every few seconds.
    for (let tries = 0; ; tries++) {
      const lost = await count('resumes_total');
      await happens();
      relay.cut(true);
      await until('the end of the stream', async () => (await count('resumes_total')) > lost);
      if ((await lag()) > 0) break;
      assert.ok(tries < 5, 'no lag');
      relay.accept();
      await until('a stream', async () => (await onEtcd()) >= 2);
    }
    relay.accept();
    await until('no lag', async () => (await lag()) === 0);
    assert.deepEqual([await put(direct, 'silent', 'v')], await silent.revisions(1));
    for (const call of [silent, busy]) call.close();
  });
});
