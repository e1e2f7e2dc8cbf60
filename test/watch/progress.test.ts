/**
 * Progress on request, as Kubernetes asks for it: at a revision as new as a linearizable read just before, from every
 * release whose progress can be trusted; from the others no wrong one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { progressIsSafe } from '../../src/etcd/release.ts';
import { availableEtcds, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, compact, put, revision, WatchCall } from '../support/watch-client.ts';

for (const install of await availableEtcds())
  test(`etcd ${install.version}: as new as a linearizable read just before`, async (context) => {
    if (!progressIsSafe(install.version)) return context.skip('its progress responses promise too little');
    await using etcd = await startEtcd({ install, watchProgressIntervalMs: 300 });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using direct = new RawGrpcClient(etcd.first.address);
    using client = new RawGrpcClient(proxy.address);
    const watch = new WatchCall(client);
    await watch.created({ key: b('progress/'), rangeEnd: b('progress0'), progressNotify: true });
    for (let i = 0; i < 20; i++) {
      await put(direct, 'elsewhere', `${i}`);
      const read = await revision(client);
      watch.progress();
      for (;;) {
        const { watchId, events, header } = await watch.must();
        assert.equal(events.length, 0);
        if (watchId !== -1n) continue; // a periodic one
        assert.ok(Number(header?.revision) >= read);
        break;
      }
    }
    watch.close();
  });

for (const install of await availableEtcds())
  test(`etcd ${install.version}: the first on a new feed takes no more than later ones, while other keys change`, async (context) => {
    if (!progressIsSafe(install.version)) return context.skip('its progress responses promise too little');
    await using etcd = await startEtcd({ install });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using direct = new RawGrpcClient(etcd.first.address);
    using client = new RawGrpcClient(proxy.address);
    let over = false;
    const writing = Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        while (!over) await put(direct, `elsewhere/${i}`, 'v');
      }),
    );
    for (let i = 0; i < 40; i++) {
      const watch = new WatchCall(client);
      await watch.created({ key: b(`first/${i}`) });
      watch.progress();
      assert.equal((await watch.must()).watchId, -1n);
      watch.close();
    }
    over = true;
    await writing;
    // What takes longer: a watch of the past for what happened before there was one, which moves when it has had that.
    assert.equal(await metric(proxy.url, 'etcd_proxy_watch_moves_total'), 0);
  });

for (const install of await availableEtcds())
  test(`etcd ${install.version}: none on a stream with a watch that a compaction ended, as from etcd`, async (context) => {
    if (!progressIsSafe(install.version)) return context.skip('its progress responses promise too little');
    await using etcd = await startEtcd({ install });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using direct = new RawGrpcClient(etcd.first.address);
    using client = new RawGrpcClient(proxy.address);
    const first = await put(direct, 'p', '1');
    await compact(direct, await put(direct, 'p', '2'));
    for (const grpc of [direct, client]) {
      const watch = new WatchCall(grpc);
      await watch.created({ key: b('p'), startRevision: BigInt(first) });
      assert.equal((await watch.must()).canceled, true);
      await watch.created({ key: b('p') });
      watch.progress();
      // Whatever would be an answer has come before the second of two events with a pause between.
      for (let i = 0; i < 2; i++) {
        await sleep(300); // nothing may happen
        await put(direct, 'p', 'more');
        assert.equal((await watch.must()).events.length, 1);
      }
      watch.close();
    }
  });

test('each request of a stream is answered, however much its watches are told meanwhile', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  let over = false;
  const writing = Promise.all(
    Array.from({ length: 4 }, async (_, i) => {
      while (!over) await put(direct, `busy/${i}`, 'v');
    }),
  );
  const watch = new WatchCall(client);
  await watch.created({ key: b('busy/0') });
  watch.create({ key: b('busy/1') });
  watch.create({ key: b('busy/2'), prevKv: true }); // on another stream to etcd
  for (let answers = 0, created = 1; answers < 60; ) {
    const { watchId, created: isCreated } = await watch.must();
    if (isCreated) created++;
    else if (watchId === -1n) answers++;
    else continue;
    if (created === 3) watch.progress();
  }
  watch.close();
  over = true;
  await writing;
});
