/** Streams to etcd that are lost, and endpoints that go: heartbeats in flight go out again, and clients notice nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atLeast, newestEtcd, startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { BeatCall, grant, grantMany, timeToLive } from './beats.ts';
import { KeptLeases } from './kept-leases.ts';

const RECEIVED =
  'grpc_server_msg_received_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}';

/**
 * Waits until etcd has received so many since, where one stream has ended meanwhile: newer releases count its end as well,
 * when they notice it, which may be after the answers on the next stream.
 */
async function hasReceived(url: string, before: number, count: number): Promise<void> {
  const all = before + count + (atLeast(await newestEtcd(), 3, 7) ? 1 : 0);
  let received = before;
  await until(
    () => `etcd has received ${all}, not ${received}`,
    async () => {
      received = await etcdMetric(url, RECEIVED);
      return received >= all;
    },
  );
  assert.equal(received, all);
}

test('what was in flight when the connection broke is sent again, each once', async () => {
  await using etcd = await startEtcd();
  await using relay = await Relay.open(etcd.first.address);
  await using proxy = await startProxy({ endpoints: [relay.address] });
  using client = new RawGrpcClient(proxy.address);
  const ids = await grantMany(client, 60, 20);
  const calls = ids.map(() => new BeatCall(client));
  for (const [i, call] of calls.entries()) assert.equal(await call.beat(ids[i] as bigint), 60);
  const before = await etcdMetric(etcd.first.metricsUrl, RECEIVED);
  relay.hold();
  for (const [i, call] of calls.entries()) call.send(ids[i] as bigint);
  await until('etcd has had all', async () => {
    return (await etcdMetric(etcd.first.metricsUrl, RECEIVED)) === before + 20;
  });
  relay.cut();
  relay.release();
  for (const call of calls) assert.equal((await call.must()).TTL, 60n);
  await hasReceived(etcd.first.metricsUrl, before, 40);
  assert.equal(await metric(proxy.url, 'etcd_proxy_lease_heartbeats_resent_total'), 20);
  for (const call of calls) call.close();
});

test('a heartbeat whose client is gone is not sent again', async () => {
  await using etcd = await startEtcd();
  await using relay = await Relay.open(etcd.first.address);
  await using proxy = await startProxy({ endpoints: [relay.address] });
  using client = new RawGrpcClient(proxy.address);
  const ids = await grantMany(client, 60, 2);
  const [gone, stays] = [new BeatCall(client), new BeatCall(client)];
  for (const [i, call] of [gone, stays].entries()) assert.equal(await call.beat(ids[i] as bigint), 60);
  const before = await etcdMetric(etcd.first.metricsUrl, RECEIVED);
  relay.hold();
  gone.send(ids[0] as bigint);
  stays.send(ids[1] as bigint);
  await until('etcd has had both', async () => {
    return (await etcdMetric(etcd.first.metricsUrl, RECEIVED)) === before + 2;
  });
  gone.close();
  await until('its stream is over', async () => {
    return (await metric(proxy.url, 'etcd_proxy_lease_client_streams')) === 1;
  });
  relay.cut();
  relay.release();
  assert.equal((await stays.must()).TTL, 60n);
  await hasReceived(etcd.first.metricsUrl, before, 3);
  stays.close();
});

test('a lease whose client stops ends when one does that the proxy never saw: nobody else keeps it alive', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const [TTL, LONG_TTL] = [4, 60];
  const alive = await grant(client, LONG_TTL);
  const silent = await grant(client, TTL);
  using direct = new RawGrpcClient(etcd.first.address);
  const unseen = await grant(direct, TTL);
  const [call, straight] = [new BeatCall(client), new BeatCall(direct)];
  let last = 0;
  for (let i = 0; i < 5; i++) {
    last = performance.now();
    for (const [lease, ttl] of [
      [silent, TTL],
      [alive, LONG_TTL],
    ] as const)
      assert.equal(await call.beat(lease), ttl);
    assert.equal(await straight.beat(unseen), TTL);
  }
  const before = await etcdMetric(etcd.first.metricsUrl, RECEIVED);
  // The stream stays open, and another lease on it is kept alive.
  let beats = 0;
  const gone = new Map<bigint, number>();
  await until('both are gone', async () => {
    assert.equal(await call.beat(alive), LONG_TTL);
    beats++;
    for (const lease of [silent, unseen])
      if (!gone.has(lease) && (await timeToLive(client, lease)) === -1) gone.set(lease, performance.now());
    return gone.size === 2;
  });
  const [ours, etcds] = [silent, unseen].map((lease) => ((gone.get(lease) as number) - last) / 1000) as [
    number,
    number,
  ];
  // etcd looks for leases that are over every half second.
  assert.ok(ours > TTL - 0.1 && ours < etcds + 1, `gone after ${ours.toFixed(1)} and ${etcds.toFixed(1)} s`);
  // It has heard of the other lease alone.
  assert.equal((await etcdMetric(etcd.first.metricsUrl, RECEIVED)) - before, beats);
  assert.equal(await call.beat(alive), LONG_TTL);
  for (const each of [call, straight]) each.close();
});

for (const [what, end] of [
  ['killed', (etcd, at) => etcd.member(at).kill()],
  ['frozen', (etcd, at) => etcd.member(at).pause()],
] as const satisfies readonly [
  string,
  (etcd: Awaited<ReturnType<typeof startEtcd>>, at: number) => unknown,
][])
  test(`no lease of 5 s is lost when the endpoint in use is ${what}`, async () => {
    await using etcd = await startEtcd({ members: 3, electionMs: 500, heartbeatMs: 50 });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using client = new RawGrpcClient(proxy.address);
    const ids = await grantMany(client, 5, 50);
    await using kept = await KeptLeases.begin(proxy.address, ids, { ttlSeconds: 5 });
    await until('all beat', () => kept.answers >= 100);
    await end(etcd, 0);
    const { answers } = kept;
    await until('they go on', () => kept.answers >= answers + 150);
    assert.deepEqual([...kept.lost], []);
    assert.equal(kept.endings.length, 0, 'no stream of a client ended');
  });
