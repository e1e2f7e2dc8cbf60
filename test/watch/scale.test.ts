/**
 * Many watchers: what they cost etcd, by etcd's own count of watches; what a client that stops reading does to the
 * others; and what is left when they have gone.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { progressIsSafe } from '../../src/etcd/release.ts';
import { type EtcdCluster, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric, rangesHandled, streamsInProgress } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, type Create, put, revision, span, WatchCall } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

/** An etcd of one release with a proxy before it. */
interface Place extends AsyncDisposable {
  readonly etcd: EtcdCluster;
  readonly proxy: RunningProxy;
  readonly direct: RawGrpcClient;
}

async function place(install: EtcdInstall): Promise<Place> {
  const held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd({ install, watchProgressIntervalMs: 300 }));
  const proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags: ['--watch-linger=2s'] }));
  const direct = held.use(new RawGrpcClient(etcd.first.address));
  return { etcd, proxy, direct, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Watches that etcd has. */
const upstream = ({ etcd }: Place): Promise<number> =>
  etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
const ours = ({ proxy }: Place, name: string): Promise<number> =>
  metric(proxy.url, `etcd_proxy_watch_${name}`);

/**
 * Waits until etcd has so many watches, on few streams, or where its release does not bear that, on a stream each. Clients are
 * told of theirs a moment before; those that move have two for a while.
 */
async function upstreamIs(at: Place, watches: number): Promise<void> {
  const streams = (): Promise<number> => streamsInProgress(at.etcd.first.metricsUrl, 'Watch');
  const mayShare = progressIsSafe(at.etcd.install.version);
  await until(`${watches} watches on etcd`, async () => (await upstream(at)) === watches);
  if (mayShare) await until('few streams', async () => (await streams()) <= watches / 1000 + 5);
  else await until('a stream each', async () => (await streams()) === watches);
}

/** Waits until nothing is left, on either side. */
async function gone(at: Place): Promise<void> {
  const streams = (): Promise<number> => streamsInProgress(at.etcd.first.metricsUrl, 'Watch');
  for (const count of [() => ours(at, 'watchers'), () => ours(at, 'feeds'), () => upstream(at), streams])
    await until('nothing is left', async () => (await count()) === 0);
}

/** Streams with watches, ten connections in all. */
class Crowd implements Disposable {
  readonly counts = new LoadCounts();
  readonly streams: LoadStream[] = [];
  readonly connections: LoadConnection[] = [];
  readonly #address: string;

  constructor({ proxy }: Place) {
    this.#address = proxy.address;
  }

  async join(streams: number, watches: number, watch: (index: number) => Create): Promise<void> {
    if (this.connections.length === 0)
      for (let i = 0; i < 10; i++) this.connections.push(await LoadConnection.open(this.#address));
    const before = this.counts.created;
    for (let i = 0; i < streams; i++) {
      const wishes = Array.from({ length: watches }, (_, j) => watch(i * watches + j));
      const connection = this.connections[i % 10] as LoadConnection;
      this.streams.push(new LoadStream(connection, this.counts, wishes));
    }
    await this.counts.reach(() => this.counts.created === before + streams * watches);
  }

  /** Waits until every stream has had exactly so many events, by its index. */
  async each(events: (stream: number) => number): Promise<void> {
    await this.counts.reach(() => this.streams.every((stream, i) => stream.events >= events(i)));
    for (const [i, stream] of this.streams.entries()) assert.equal(stream.events, events(i), `stream ${i}`);
  }

  [Symbol.dispose](): void {
    for (const connection of this.connections) connection[Symbol.dispose]();
  }
}

const installs = await outerEtcds();

for (const install of installs) {
  describe(`what etcd ${install.version} sees`, { concurrency: 1 }, () => {
    let at: Place;
    before(async () => {
      at = await place(install);
    });
    after(() => at[Symbol.asyncDispose]());

    test('10 000 watchers on 100 ranges are 100 watches', async () => {
      using crowd = new Crowd(at);
      await crowd.join(100, 100, (i) => ({
        key: b(`ranges/${i % 100}/`),
        rangeEnd: b(`ranges/${i % 100}0`),
      }));
      await upstreamIs(at, 100);
      assert.equal(await ours(at, 'watchers'), 10_000);
      for (let i = 0; i < 100; i++) await put(at.direct, `ranges/${i}/x`, 'v');
      await crowd.each(() => 100);
      crowd[Symbol.dispose]();
      await gone(at);
    });

    test('10 000 watchers of distinct keys under a watched prefix are one', async () => {
      using crowd = new Crowd(at);
      await crowd.join(1, 1, () => ({ key: b('keys/'), rangeEnd: b('keys0') }));
      await crowd.join(100, 100, (i) => ({ key: b(`keys/${i}`) }));
      await upstreamIs(at, 1);
      for (let i = 0; i < 10_000; i += 100) await put(at.direct, `keys/${i}`, 'v');
      await crowd.each((stream) => (stream === 0 ? 100 : 1));
      crowd[Symbol.dispose]();
      await gone(at);
    });

    test('so are those that are asked for before etcd has the watch of the prefix', async () => {
      using crowd = new Crowd(at);
      await crowd.join(1, 100, (i) =>
        i === 0 ? { key: b('early/'), rangeEnd: b('early0') } : { key: b(`early/${i}`) },
      );
      await upstreamIs(at, 1);
      for (let i = 1; i < 100; i++) await put(at.direct, `early/${i}`, 'v');
      await crowd.each(() => 2 * 99);
      crowd[Symbol.dispose]();
      await gone(at);
    });

    test('5 000 watchers that come back at once are served from history', async () => {
      // The feeds wait for them, however long the puts take meanwhile.
      await using proxy = await startProxy({ endpoints: at.etcd.endpoints, flags: ['--watch-linger=600s'] });
      const patient = { ...at, proxy };
      const start = (await revision(at.direct)) + 1;
      /** Each has missed the last 50 puts, and comes back up to 24 revisions before those. */
      const backAt = (i: number): number => start + 50 - (i % 25);
      const missed = (i: number): number =>
        span(backAt(i), start + 99).filter((revision) => (revision - start) % 5 === i % 5).length;
      using crowd = new Crowd(patient);
      await crowd.join(50, 100, (i) => ({ key: b(`storm/${i % 5}`), startRevision: BigInt(start) }));
      for (let i = 0; i < 50; i++) await put(at.direct, `storm/${i % 5}`, 'v');
      await crowd.each(() => 100 * 10);
      await upstreamIs(at, 5);
      crowd[Symbol.dispose]();
      using again = new Crowd(patient);
      for (let i = 0; i < 50; i++) await put(at.direct, `storm/${i % 5}`, 'v');
      let peak = 5;
      let back = false;
      const watching = (async () => {
        while (!back) peak = Math.max(peak, await upstream(at), 5 + (await ours(patient, 'catch_ups')));
      })();
      await again.join(50, 100, (i) => ({ key: b(`storm/${i % 5}`), startRevision: BigInt(backAt(i)) }));
      await again.each((stream) =>
        Array.from({ length: 100 }, (_, j) => missed(stream * 100 + j)).reduce((sum, events) => sum + events),
      );
      back = true;
      await watching;
      assert.deepEqual([peak, await upstream(at)], [5, 5]);
      // And they go on, each with one more.
      const had = again.counts.events;
      for (let key = 0; key < 5; key++) await put(at.direct, `storm/${key}`, 'v');
      await again.counts.reach(() => again.counts.events >= had + 5000);
      assert.equal(again.counts.events, had + 5000);
      again[Symbol.dispose]();
      await until('no watchers', async () => (await ours(patient, 'watchers')) === 0);
      await proxy.stop();
      await gone(at);
    });
  });
}

test('1 000 watchers of different keys that begin together ask for the revision together', async () => {
  await using at = await place(installs.at(-1) as EtcdInstall);
  const before = await rangesHandled(at.etcd.first.metricsUrl);
  using crowd = new Crowd(at);
  await crowd.join(10, 100, (i) => ({ key: b(`together/${i}`) }));
  assert.ok((await rangesHandled(at.etcd.first.metricsUrl)) - before < 100);
});

test('a client that stops reading delays nobody, and gets everything when it reads again', async () => {
  await using at = await place(installs.at(-1) as EtcdInstall);
  using crowd = new Crowd(at);
  const watchers = LONG ? 200 : 40;
  await crowd.join(20, watchers / 20, () => ({ key: b('slow/a') }));
  const counts = new LoadCounts();
  using connection = await LoadConnection.open(at.proxy.address);
  const slow = new LoadStream(connection, counts, [{ key: b('slow/a') }]);
  await counts.reach(() => counts.created === 1);
  connection.hold();
  const rounds = 12;
  for (let i = 1; i <= rounds; i++) {
    await Promise.all(Array.from({ length: 1000 }, () => put(at.direct, 'slow/a', 'v'.repeat(1000))));
    await crowd.counts.reach(() => crowd.counts.events === i * 1000 * watchers);
  }
  await until('only that client lags', async () => (await ours(at, 'lagging_watchers')) === 1);
  connection.release();
  await counts.reach(() => counts.events >= rounds * 1000 || counts.ended > 0);
  assert.equal(slow.ending, undefined);
  assert.equal(slow.events, rounds * 1000);
});

test('progress comes by itself, at the interval of etcd, also for a silent part of a busy range', async () => {
  await using at = await place(installs.at(-1) as EtcdInstall);
  using client = new RawGrpcClient(at.proxy.address);
  const teacher = new WatchCall(client);
  await teacher.created({ key: b('quiet'), progressNotify: true });
  for (let i = 0; i < 4; i++) await teacher.must();
  const wide = new WatchCall(client);
  await wide.created({ key: b('busy/'), rangeEnd: b('busy0') });
  const narrow = new WatchCall(client);
  await narrow.created({ key: b('busy/silent'), progressNotify: true });
  let over = false;
  const told = narrow.must().finally(() => {
    over = true;
  });
  while (!over) await put(at.direct, 'busy/x', 'v');
  const { watchId, events } = await told;
  assert.deepEqual([watchId, events.length], [0n, 0]);
  for (const watch of [teacher, wide, narrow]) watch.close();
});
