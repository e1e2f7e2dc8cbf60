/**
 * Many watchers: what they cost etcd, by etcd's own count of watches; what a client that stops reading does to the
 * others; and what is left when they have gone.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, type Create, put, revision, WatchCall } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

const held = new AsyncDisposableStack();
let etcd: EtcdCluster;
let proxy: RunningProxy;
let direct: RawGrpcClient;

before(async () => {
  etcd = held.use(await startEtcd({ watchProgressIntervalMs: 300 }));
  proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=2s'] }));
  direct = held.use(new RawGrpcClient(etcd.first.address));
});
after(() => held.disposeAsync());

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${RegExp.escape(name)} ([\\d.e+]+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** Watches that etcd has. */
const upstream = (): Promise<number> => metric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
const ours = (name: string): Promise<number> => metric(proxy.url, `etcd_proxy_watch_${name}`);

/** Waits until nothing is left, on either side; the incumbent's gauge does not drift (its defect W6). */
async function gone(): Promise<void> {
  while ((await ours('watchers')) > 0 || (await ours('feeds')) > 0 || (await upstream()) > 0) await sleep(50);
  assert.equal(await metric(proxy.url, 'etcd_grpc_proxy_watchers_coalescing_total'), 0);
}

/** Streams with watches, ten connections in all. */
class Crowd implements Disposable {
  readonly counts = new LoadCounts();
  readonly streams: LoadStream[] = [];
  readonly connections: LoadConnection[] = [];

  async join(streams: number, watches: number, watch: (index: number) => Create): Promise<void> {
    if (this.connections.length === 0)
      for (let i = 0; i < 10; i++) this.connections.push(await LoadConnection.open(proxy.address));
    const before = this.counts.created;
    for (let i = 0; i < streams; i++) {
      const wishes = Array.from({ length: watches }, (_, j) => watch(i * watches + j));
      const connection = this.connections[i % 10] as LoadConnection;
      this.streams.push(new LoadStream(connection, this.counts, wishes));
    }
    await this.counts.until(() => this.counts.created === before + streams * watches);
  }

  [Symbol.dispose](): void {
    for (const connection of this.connections) connection[Symbol.dispose]();
  }
}

describe('what etcd sees', () => {
  test('10 000 watchers on 100 ranges are 100 watches at most', async () => {
    using crowd = new Crowd();
    await crowd.join(100, 100, (i) => ({ key: b(`ranges/${i % 100}/`), rangeEnd: b(`ranges/${i % 100}0`) }));
    assert.ok((await upstream()) <= 100);
    assert.equal(await ours('watchers'), 10_000);
    for (let i = 0; i < 100; i++) await put(direct, `ranges/${i}/x`, 'v');
    await crowd.counts.until(() => crowd.counts.events === 10_000);
    crowd[Symbol.dispose]();
    await gone();
  });

  test('10 000 watchers of distinct keys under a watched prefix are one', async () => {
    using crowd = new Crowd();
    await crowd.join(1, 1, () => ({ key: b('keys/'), rangeEnd: b('keys0') }));
    await crowd.join(100, 100, (i) => ({ key: b(`keys/${i}`) }));
    assert.equal(await upstream(), 1);
    for (let i = 0; i < 10_000; i += 100) await put(direct, `keys/${i}`, 'v');
    await crowd.counts.until(() => crowd.counts.events === 200);
    crowd[Symbol.dispose]();
    await gone();
  });

  test('1 000 watchers of different keys that begin together ask for the revision together', async () => {
    const reads =
      'grpc_server_started_total{grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"}';
    const before = await metric(etcd.first.metricsUrl, reads);
    using crowd = new Crowd();
    await crowd.join(10, 100, (i) => ({ key: b(`together/${i}`) }));
    assert.ok((await metric(etcd.first.metricsUrl, reads)) - before < 100);
    crowd[Symbol.dispose]();
    await gone();
  });

  test('a reconnect storm is served from history', async () => {
    const wish = (i: number, start: number): Create => ({
      key: b(`storm/${i % 5}`),
      startRevision: BigInt(start),
    });
    using crowd = new Crowd();
    const start = (await revision(direct)) + 1;
    await crowd.join(50, 100, (i) => wish(i, start));
    for (let i = 0; i < 50; i++) await put(direct, `storm/${i % 5}`, 'v');
    await crowd.counts.until(() => crowd.counts.events === 50_000);
    const before = await upstream();
    crowd[Symbol.dispose]();
    using again = new Crowd();
    for (let i = 0; i < 50; i++) await put(direct, `storm/${i % 5}`, 'v');
    // Each comes back at another revision; all of them have missed the last 50 puts.
    await again.join(50, 100, (i) => wish(i, start + 50 - (i % 25)));
    await again.counts.until(() => again.counts.events >= 50_000);
    assert.equal(await upstream(), before);
    again[Symbol.dispose]();
    await gone();
  });
});

describe('a client that stops reading', () => {
  test('delays nobody, and gets everything when it reads again', async () => {
    using crowd = new Crowd();
    await crowd.join(20, 10, () => ({ key: b('slow/a') }));
    const counts = new LoadCounts();
    using connection = await LoadConnection.open(proxy.address);
    const slow = new LoadStream(connection, counts, [{ key: b('slow/a') }]);
    await counts.until(() => counts.created === 1);
    connection.hold();
    const rounds = 12;
    for (let i = 1; i <= rounds; i++) {
      await Promise.all(Array.from({ length: 1000 }, () => put(direct, 'slow/a', 'v'.repeat(1000))));
      await crowd.counts.until(() => crowd.counts.events === i * 1000 * 200);
    }
    assert.equal(await ours('lagging_watchers'), 1);
    assert.ok((await ours('history_bytes')) <= 64 * 2 ** 20);
    connection.release();
    await counts.until(() => counts.events >= rounds * 1000 || counts.ended > 0);
    assert.equal(slow.ending, undefined);
    assert.equal(slow.events, rounds * 1000);
  });
});

describe('progress', () => {
  test('by itself, at the interval of etcd, also for a silent part of a busy range', async () => {
    using client = new RawGrpcClient(proxy.address);
    const teacher = new WatchCall(client);
    await teacher.created({ key: b('quiet'), progressNotify: true });
    await teacher.must();
    await teacher.must();
    const wide = new WatchCall(client);
    await wide.created({ key: b('busy/'), rangeEnd: b('busy0') });
    const narrow = new WatchCall(client);
    await narrow.created({ key: b('busy/silent'), progressNotify: true });
    let over = false;
    const told = narrow.must().finally(() => {
      over = true;
    });
    while (!over) await put(direct, 'busy/x', 'v');
    const { watchId, events } = await told;
    assert.deepEqual([watchId, events.length], [0n, 0]);
    for (const watch of [teacher, wide, narrow]) watch.close();
  });
});
