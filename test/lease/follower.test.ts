/**
 * A follower asks the leader for each heartbeat, one at a time on each stream. With 5 ms between the members one stream
 * serves some hundred heartbeats a second; the proxy takes more streams then, and no more than it may.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric, streamsInProgress } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { grantMany } from './beats.ts';
import { KeptLeases } from './kept-leases.ts';

const LEASES = 300;
const DELAY_MS = 5;

/** A member that does not lead. */
async function follower(etcd: EtcdCluster) {
  for (const member of etcd.members) if (!(await leads(member))) return member;
  throw new Error('nobody follows');
}

const leads = async ({ metricsUrl }: { metricsUrl: string }): Promise<boolean> =>
  (await etcdMetric(metricsUrl, 'etcd_server_is_leader')) === 1;

test(`${LEASES} clients in the rhythm of leases of 5 s, on a follower`, async (context) => {
  await using etcd = await startEtcd({ members: 3, peerRelays: true });
  etcd.links?.delay(DELAY_MS);
  const member = await follower(etcd);
  await using proxy = await startProxy({ endpoints: [member.address] });
  using client = new RawGrpcClient(proxy.address);
  // They live until their clients begin, however long that takes; lost is what has no answer within five seconds.
  const ids = await grantMany(client, 60, LEASES);
  await using kept = await KeptLeases.begin(proxy.address, ids, { ttlSeconds: 5 });
  let most = 0;
  let led = false;
  await until(
    () => `${kept.answers} answers, ${kept.lost.size} lost, ${most} streams`,
    async () => {
      most = Math.max(most, await streamsInProgress(member.metricsUrl, 'LeaseKeepAlive'));
      led ||= await leads(member);
      return kept.answers >= 5 * LEASES;
    },
    60_000,
  );
  assert.deepEqual([...kept.lost], []);
  assert.deepEqual(kept.endings, []);
  assert.ok(most <= 32, `${most} streams`);
  assert.ok((await metric(proxy.url, 'etcd_proxy_lease_streams')) <= 32);
  // On a busy machine the cluster may choose the member for its leader, which answers at once.
  if (led) context.skip('the follower became the leader');
  else assert.ok(most > 1, `${most} streams`);
});
