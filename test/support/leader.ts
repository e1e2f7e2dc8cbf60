/** Moves the leadership of a cluster, as an operator would. */
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import type { EtcdCluster } from './etcd.ts';

/**
 * Makes another member the leader, the next one in the order of the members that answer.
 * @returns false where no member that answers leads, or it is the only one
 * @throws when the leader refuses, as it does while the other is behind
 */
export async function moveLeader(cluster: EtcdCluster): Promise<boolean> {
  const answers = await Promise.all(
    cluster.members.map(async ({ address }) => {
      const client = createClient(Maintenance, createGrpcTransport({ baseUrl: `http://${address}` }));
      try {
        const { leader, header } = await client.status({}, { timeoutMs: 2000 });
        return { client, leader, id: header?.memberId ?? 0n };
      } catch {
        return undefined; // it is away, which is what faults are for
      }
    }),
  );
  const there = answers.filter((answer) => answer !== undefined);
  const at = there.findIndex(({ leader, id }) => leader === id);
  const leader = there[at];
  const next = there[(at + 1) % there.length];
  if (leader === undefined || next === undefined || next === leader) return false;
  await leader.client.moveLeader({ targetID: next.id }, { timeoutMs: 5000 });
  return true;
}
