/** Watches of many different keys share few streams to etcd, and see what they would see alone. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { progressIsSafe } from '../../src/etcd/release.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, compact, put, revision, WatchCall } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

/** Watches of different keys that a client has. */
const KEYS = 1200;
/** Streams that so many take at most: one for each thousand, and a few. */
const STREAMS = 2 + 4;
/** Every so many-th of the keys is changed: a put takes its time. */
const STEP = 6;

for (const install of await outerEtcds()) {
  const mayShare = progressIsSafe(install.version);
  describe(`etcd ${install.version}`, { concurrency: 1 }, () => {
    const held = new AsyncDisposableStack();
    let etcd: EtcdCluster;
    let relay: Relay;
    let proxy: RunningProxy;
    let direct: RawGrpcClient;
    let client: RawGrpcClient;

    before(async () => {
      etcd = held.use(await startEtcd({ install }));
      relay = held.use(await Relay.open(etcd.first.address));
      const flags = ['--dial-timeout=60s', '--watch-linger=0s'];
      proxy = held.use(await startProxy({ endpoints: [relay.address], flags }));
      direct = held.use(new RawGrpcClient(etcd.first.address));
      client = held.use(new RawGrpcClient(proxy.address));
    });
    after(() => held.disposeAsync());

    const onEtcd = (name: string): Promise<number> =>
      etcdMetric(etcd.first.metricsUrl, `etcd_debugging_mvcc_${name}`);
    const watches = (): Promise<number> => onEtcd('watcher_total');
    const streams = (): Promise<number> => onEtcd('watch_stream_total');

    async function putAll(prefix: string): Promise<void> {
      await Promise.all(
        Array.from({ length: KEYS / STEP }, (_, i) => put(direct, `${prefix}${i * STEP}`, 'v')),
      );
    }

    test('different keys are a watch each, on few streams, also when the connection was lost', async () => {
      const counts = new LoadCounts();
      using connection = await LoadConnection.open(proxy.address);
      const keys = Array.from({ length: KEYS }, (_, i) => ({ key: b(`many/${i}`) }));
      const load = new LoadStream(connection, counts, keys);
      await counts.reach(() => counts.created === KEYS);
      for (let round = 1; round <= 3; round++) {
        await until(`${KEYS} watches on etcd`, async () => (await watches()) === KEYS);
        if (mayShare) await until('few streams', async () => (await streams()) <= STREAMS);
        else await until('a stream each', async () => (await streams()) === KEYS);
        // etcd hears of the end of a stream a moment later.
        const counted = (): Promise<number> => metric(proxy.url, 'etcd_proxy_watch_streams');
        await until('the same count on both sides', async () => (await counted()) === (await streams()));
        if (round === 2) relay.cut(true);
        await putAll('many/');
        if (round === 2) relay.accept();
        const events = (round * KEYS) / STEP;
        await counts.reach(() => load.events >= events);
        assert.equal(load.events, events);
      }
      load.cancel();
      await until('nothing is left', async () => (await watches()) + (await streams()) === 0);
      assert.equal(await metric(proxy.url, 'etcd_proxy_watch_streams'), 0);
    });

    test('a watch that a compaction ends does not keep the progress of others', async () => {
      const first = await put(direct, 'past/1', 'v');
      await put(direct, 'past/2', 'v');
      const now = await put(direct, 'elsewhere', 'v');
      await compact(direct, first + 1);
      const ended = new WatchCall(client);
      const others = new WatchCall(client);
      ended.create({ key: b('past/1'), startRevision: BigInt(first) });
      others.create({ key: b('past/2'), startRevision: BigInt(first + 1) });
      while (!(await ended.must()).canceled);
      assert.equal((await others.must()).created, true);
      assert.deepEqual(await others.revisions(1), [first + 1]);
      if (mayShare) {
        others.progress();
        assert.ok(Number((await others.must()).header?.revision) >= now);
      }
      for (const call of [ended, others]) call.close();
    });

    test('watches of the past that come to the present while everything changes miss nothing', async () => {
      const count = 40;
      const start = await revision(direct);
      const expected: number[][] = Array.from({ length: count }, () => []);
      const change = async (i: number): Promise<void> => {
        expected[i % count]?.push(await put(direct, `move/${i % count}`, 'v'));
      };
      for (let i = 0; i < 3 * count; i++) await change(i);
      const moved = await metric(proxy.url, 'etcd_proxy_watch_moves_total');
      const call = new WatchCall(client);
      for (let i = 0; i < count; i++)
        call.create({ key: b(`move/${i}`), startRevision: BigInt(start + 1), watchId: BigInt(i + 1) });
      const seen: number[][] = Array.from({ length: count }, () => []);
      let left = count * 3;
      let over = false;
      const reading = (async () => {
        while (!over || left > 0) {
          const { watchId, events } = await call.must();
          for (const { kv } of events) {
            seen[Number(watchId) - 1]?.push(Number(kv?.modRevision));
            left--;
          }
        }
      })();
      const moves = async (): Promise<number> =>
        (await metric(proxy.url, 'etcd_proxy_watch_moves_total')) - moved;
      for (let i = 0; i < 8 * count || (mayShare && (await moves()) < count); i++) {
        left++;
        await change(i);
      }
      over = true;
      left++;
      await change(0);
      await reading;
      assert.deepEqual(seen, expected);
      call.close();
      if (mayShare) await until('one stream', async () => (await streams()) <= 1);
    });
  });
}
