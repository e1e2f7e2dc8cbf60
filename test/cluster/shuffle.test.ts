/** The choice among members is made anew all the time, and no client notices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admin } from '../failing/admin.ts';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { Load } from './load.ts';

const REDRAWN = 'etcd_proxy_upstream_switches_total{reason="redrawn"}';
const LIMIT_MS = 100_000;
const MOVES = LONG ? 200 : 20;

for (const pick of ['random', 'nearest'])
  test(`--endpoints-shuffle-interval under load, --endpoint-pick=${pick}`, {
    timeout: 120_000,
  }, async (t) => {
    await using cluster = await startEtcd({ members: 3 });
    await using proxy = await startProxy({
      endpoints: cluster.endpoints,
      flags: ['--endpoints-shuffle-interval=200ms', `--endpoint-pick=${pick}`],
    });
    const admin = new Admin(cluster.first.address);
    using load = await Load.start(proxy.address, admin);
    const moves = () => metric(proxy.url, REDRAWN);
    // How often one is much nearer than another is for the machine to say.
    await load.servedAfter(performance.now());
    const before = await moves();
    if (pick === 'random')
      await until('it has moved often', async () => (await moves()) >= before + MOVES, LIMIT_MS);
    else for (let i = 0; i < 20; i++) await load.servedAfter(performance.now());
    const { failedPuts, ...counts } = await load.finish(admin);
    t.diagnostic(`${await moves()} moves; ${JSON.stringify(counts)}`);
    assert.deepEqual(failedPuts, []);
  });
