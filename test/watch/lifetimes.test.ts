/** How long feeds live: as long as a watcher is on them, for a while after that, and no longer. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { b, put, span, WatchCall } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

const LINGER_MS = 1500;

const held = new AsyncDisposableStack();
let etcd: EtcdCluster;
let proxy: RunningProxy;
let relay: Relay;
let direct: RawGrpcClient;
let client: RawGrpcClient;

before(async () => {
  etcd = held.use(await startEtcd());
  const flags = [`--watch-linger=${LINGER_MS}ms`, '--watch-history-revisions=5'];
  relay = held.use(await Relay.open(etcd.first.address));
  proxy = held.use(await startProxy({ endpoints: [relay.address], flags }));
  direct = held.use(new RawGrpcClient(etcd.first.address));
  client = held.use(new RawGrpcClient(proxy.address));
});
after(() => held.disposeAsync());

async function puts(key: string, count: number): Promise<number[]> {
  const revisions: number[] = [];
  for (let i = 0; i < count; i++) revisions.push(await put(direct, key, `${i}`));
  return revisions;
}

/** Waits until a gauge of the proxy's has a value. */
async function gauge(name: string, value: number): Promise<void> {
  await until(`${name} is ${value}`, async () => {
    const text = await (await fetch(`${proxy.url}/proxy/metrics`)).text();
    return new RegExp(`^etcd_proxy_watch_${name} ${value}$`, 'm').test(text);
  });
}

describe('a feed that waits for a watcher', () => {
  test('lives on with one that a catch-up brings to it', async () => {
    const first = new WatchCall(client);
    await first.created({ key: b('linger') });
    const [start] = (await puts('linger', 20)) as [number];
    await first.revisions(20);
    first.close();
    // The feed has nobody, and its history begins too late: the watcher comes to it by way of a feed of its own.
    const late = new WatchCall(client);
    await late.created({ key: b('linger'), startRevision: BigInt(start) });
    assert.deepEqual(await late.revisions(20), span(start, start + 19));
    await sleep(2 * LINGER_MS);
    assert.deepEqual(await puts('linger', 3), await late.revisions(3));
    late.close();
  });
});

describe('a feed that its only watcher fell behind', () => {
  test('ends when that watcher leaves the feed that brings it up', async () => {
    const counts = new LoadCounts();
    using connection = await LoadConnection.open(proxy.address);
    const slow = new LoadStream(connection, counts, [{ key: b('left') }]);
    await counts.reach(() => counts.created === 1);
    connection.hold();
    for (let i = 0; i < 20; i++)
      await Promise.all(Array.from({ length: 500 }, () => put(direct, 'left', 'v'.repeat(1000))));
    await gauge('lagging_watchers', 1);
    // It reads again and needs what the feed has forgotten; etcd is silent until the watcher has gone.
    relay.hold();
    connection.release();
    await gauge('catch_ups', 1);
    slow.cancel();
    await gauge('watchers', 0);
    relay.release();
    await gauge('feeds', 0);
  });
});
