/** Calls about the member that answers them: what it says is passed on as it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { type EtcdCluster, type EtcdMember, startEtcd } from '../support/etcd.ts';
import { leaderIndex, statusOf } from '../support/members.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

const LIMIT = { timeoutMs: 20_000 };

const maintenanceOf = (address: string) =>
  createClient(Maintenance, createGrpcTransport({ baseUrl: `http://${address}` }));

test('MoveLeader, Status and Defragment go to the endpoint in use', { timeout: 120_000 }, async () => {
  await using cluster = await startEtcd({ members: 3 });
  // A leader that has no core for a second is voted out.
  for (let tries = 3; ; tries--) {
    const at = await leaderIndex(cluster);
    try {
      return await goToEndpointInUse(cluster, at);
    } catch (error) {
      if (tries === 1 || (await leaderIndex(cluster)) === at) throw error;
    }
  }
});

/** @param at the index of the leader */
async function goToEndpointInUse(cluster: EtcdCluster, at: number): Promise<void> {
  await using held = new AsyncDisposableStack();
  const leader = cluster.member(at);
  const follower = cluster.member((at + 1) % 3);
  const { id } = await statusOf(follower);
  const through = async ({ address }: EtcdMember) =>
    maintenanceOf(held.use(await startProxy({ endpoints: [address] })).address);
  const viaFollower = await through(follower);
  const viaLeader = await through(leader);

  const refusal = async (client: typeof viaFollower): Promise<string> => {
    const error = await client.moveLeader({ targetID: id }, LIMIT).then(
      () => assert.fail('a follower moves nothing'),
      (error: unknown) => ConnectError.from(error),
    );
    assert.equal(error.code, Code.FailedPrecondition);
    return error.rawMessage;
  };
  assert.equal(await refusal(viaFollower), 'etcdserver: not leader');
  assert.equal(await refusal(viaFollower), await refusal(maintenanceOf(follower.address)));

  const { header, leader: known } = await viaFollower.status({}, LIMIT);
  assert.equal(header?.memberId, id);
  assert.equal(known, (await statusOf(leader)).id);
  const defragmented = await viaFollower.defragment({}, LIMIT);
  assert.ok(defragmented);

  await viaLeader.moveLeader({ targetID: id }, LIMIT);
  await until('the follower leads', async () => (await statusOf(follower)).leader === id);
}
