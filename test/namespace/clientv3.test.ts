/**
 * etcd's own idea of a namespace is the package of that name in its Go client: what that client sees before a bare etcd is
 * what it sees, without the package, within a namespace of the proxy. Skipped where Go is missing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildProbe, noGo, runProbe } from '../support/clientv3.ts';
import { etcdctl, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { newestEtcds } from '../support/releases.ts';

const PREFIX = 'tenant/';

test("clientv3's namespace", { skip: noGo }, async (context) => {
  const failure = await buildProbe();
  if (failure !== undefined) {
    context.skip(failure);
    return;
  }
  for (const install of await newestEtcds())
    await context.test(`etcd ${install.version}`, async () => {
      await using one = await startEtcd({ install });
      await using other = await startEtcd({ install });
      await using proxy = await startProxy({ endpoints: other.endpoints, flags: [`--namespace=${PREFIX}`] });
      for (const { endpoints } of [one, other])
        for (const key of ['a', 'tenant', 'tenant0', 'z'])
          await etcdctl(install, endpoints, ['put', key, 'outside']);
      const reference = await runProbe(one.first.url, '-edges', `-namespace=${PREFIX}`);
      assert.equal(reference.code, 0, reference.stderr);
      const { code, stdout, stderr } = await runProbe(proxy.url, '-edges');
      assert.deepEqual([code, stdout.split('\n')], [0, reference.stdout.split('\n')], stderr);
      assert.ok(stdout.split('\n').length > 100);
    });
});
