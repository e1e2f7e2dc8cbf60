/** Sessions, locks and elections of etcd's own Go client: the same story as directly; skipped where Go is missing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildProbe, noGo, runProbe, startHolding } from '../support/clientv3.ts';
import { startEtcd } from '../support/etcd.ts';
import { streamsInProgress } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { outerEtcds } from '../support/releases.ts';

const failure = noGo || (await buildProbe());

for (const install of await outerEtcds()) {
  test(`etcd ${install.version}: sessions, locks and elections`, { skip: failure }, async () => {
    await using etcd = await startEtcd({ install });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    const direct = await runProbe(etcd.first.url, '-contend');
    assert.equal(direct.code, 0, direct.stderr);
    const proxied = await runProbe(proxy.url, '-contend');
    assert.deepEqual([proxied.code, proxied.stdout], [0, direct.stdout], proxied.stderr);
  });
}

test('a lock is held while the endpoint in use is killed or frozen', { skip: failure }, async () => {
  for (const end of ['kill', 'pause'] as const) {
    await using etcd = await startEtcd({ members: 3, heartbeatMs: 50, electionMs: 500 });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    const holding = await startHolding([proxy.url], '8s');
    await holding.waitForLine(/^holding$/, 30_000);
    let used = 0;
    for (const [at, { metricsUrl }] of etcd.members.entries())
      if ((await streamsInProgress(metricsUrl, 'LeaseKeepAlive')) > 0) used = at;
    await etcd.member(used)[end]();
    await holding.waitForLine(/^held$/, 30_000);
    await holding.stop();
  }
});
