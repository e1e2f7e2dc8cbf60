/**
 * Progress on request, as Kubernetes asks for it: at a revision as new as a linearizable read just before, from every
 * release whose progress can be trusted; from the others no wrong one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressIsSafe } from '../../src/coalesce/watch/versions.ts';
import { availableEtcds, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, put, revision, WatchCall } from '../support/watch-client.ts';

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
