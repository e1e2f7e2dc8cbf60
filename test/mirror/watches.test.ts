/** Watches inside a mirrored prefix ride on the feed that keeps the mirror true, whatever they ask for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put, span, WatchCall } from '../support/watch-client.ts';
import { PREFIX, PREFIX_END, untilServing } from './support.ts';

const WATCHERS = 300;

describe('watches inside a mirrored prefix', () => {
  test('any number costs etcd the one watch that the mirror has', { timeout: 90_000 }, async () => {
    await using etcd = await startEtcd();
    using direct = new RawGrpcClient(etcd.first.address);
    await put(direct, `${PREFIX}old`, 'before the mirror');
    await using proxy = await startProxy({
      endpoints: etcd.endpoints,
      flags: [`--cache-prefix=${PREFIX}`, '--watch-linger=0s'],
    });
    using client = new RawGrpcClient(proxy.address);
    await untilServing(proxy.url);
    const upstream = () => etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
    await until("the mirror's watch is there", async () => (await upstream()) === 1);
    const first = await put(direct, `${PREFIX}1`, 'a');
    for (let i = 2; i <= 20; i++) await put(direct, `${PREFIX}${i % 5}`, `${i}`);
    const last = first + 19;
    await until('the mirror has seen them', async () => {
      const applied = await metric(proxy.url, 'etcd_proxy_watch_applied_revision');
      return applied >= last - 1;
    });

    const call = new WatchCall(client);
    const all = { key: b(PREFIX), rangeEnd: b(PREFIX_END) };
    for (let i = 0; i < WATCHERS; i++) {
      // one key each, or all, from now, or from the past, with what was there before or without
      const where = i % 3 === 0 ? all : { key: b(`${PREFIX}k${i}`) };
      const startRevision = i % 4 === 0 ? BigInt(first) : 0n;
      call.create({ ...where, startRevision, prevKv: i % 2 === 0 });
    }
    let created = 0;
    let events = 0;
    while (created < WATCHERS) {
      const response = await call.must();
      if (response.created) created++;
      events += response.events.length;
    }
    assert.equal(await upstream(), 1);
    const whole = Array.from({ length: WATCHERS }, (_, i) => i).filter((i) => i % 3 === 0);
    const fromPast = whole.filter((i) => i % 4 === 0).length;
    while (events < fromPast * 20) events += (await call.must()).events.length;

    const late = new WatchCall(client);
    await late.created({ ...all, startRevision: BigInt(first), prevKv: true });
    assert.deepEqual(await late.revisions(20), span(first, last));
    assert.equal(await upstream(), 1);
    await put(direct, `${PREFIX}k1`, 'now');
    for (let heard = 0; heard < whole.length + 1; ) heard += (await call.must()).events.length;
    assert.equal(await upstream(), 1);
    call.close();
    late.close();
    await put(direct, `${PREFIX}k1`, 'later');
    assert.equal(await upstream(), 1, 'the mirror keeps its feed when the last watcher has left');
  });
});
