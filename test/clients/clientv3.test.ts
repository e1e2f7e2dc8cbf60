/** etcd's own Go client over plaintext, as most clusters' neighbours speak it; skipped where Go is missing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_WELL, buildProbe, noGo, runProbe } from '../support/clientv3.ts';
import { availableEtcds, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';

test('clientv3', { skip: noGo }, async (context) => {
  const failure = await buildProbe();
  if (failure !== undefined) {
    context.skip(failure);
    return;
  }
  for (const install of await availableEtcds()) {
    await context.test(`etcd ${install.version}`, async () => {
      await using etcd = await startEtcd({ install });
      await using proxy = await startProxy({ endpoints: etcd.endpoints });
      const { code, stdout, stderr } = await runProbe(proxy.url);
      assert.deepEqual([code, stdout], [0, ALL_WELL], stderr);
    });
  }
});
