/** What the members of a cluster say of themselves, and what an operator does to one of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import type { EtcdCluster, EtcdMember } from './etcd.ts';
import { until } from './until.ts';

/** A member's own view. */
export interface MemberStatus {
  readonly id: bigint;
  /** The leader it knows, 0 for none. */
  readonly leader: bigint;
  readonly raftIndex: bigint;
  readonly isLearner: boolean;
  /** The size of its database's file. */
  readonly dbSize: bigint;
}

/** Asks a member for its view of the cluster. */
export async function statusOf(member: EtcdMember): Promise<MemberStatus> {
  const client = createClient(Maintenance, createGrpcTransport({ baseUrl: `http://${member.address}` }));
  const { header, leader, raftIndex, isLearner, dbSize } = await client.status({}, { timeoutMs: 10_000 });
  return { id: header?.memberId ?? 0n, leader, raftIndex, isLearner, dbSize };
}

/** Waits until something holds of a member's view. */
export async function untilStatus(
  member: EtcdMember,
  holds: (status: MemberStatus) => boolean,
  what: string,
  limitMs = 30_000,
): Promise<MemberStatus> {
  return until(
    `${member.name} is ${what}`,
    async () => {
      const status = await statusOf(member).catch(() => undefined); // it may be about to start
      return status !== undefined && holds(status) && status;
    },
    limitMs,
  );
}

/** The index of the member that leads, as itself says. */
export async function leaderIndex(cluster: EtcdCluster): Promise<number> {
  return until('a member leads', async () => {
    const all = await Promise.all(cluster.members.map((member) => statusOf(member).catch(() => undefined)));
    const index = all.findIndex((status) => status !== undefined && status.id === status.leader);
    return index >= 0 && index;
  });
}

/** Cuts a member off from its peers, and waits until it has noticed: it knows no leader. */
export async function cutOff(cluster: EtcdCluster, index: number): Promise<void> {
  const member = cluster.member(index);
  const { id } = await statusOf(member);
  cluster.links?.cut(index, id);
  await untilStatus(member, ({ leader }) => leader === 0n, 'without a leader');
}

/** Removes a member from its cluster, as an operator would through another member; gives when that was asked. */
export function removeMember(cluster: EtcdCluster, index: number): Promise<number> {
  return removeFrom([cluster.member(index === 0 ? 1 : 0)], cluster.member(index));
}

/** Removes a member from the cluster of the others. @returns when it was asked for, by `performance.now()` */
export async function removeFrom(others: readonly EtcdMember[], member: EtcdMember): Promise<number> {
  const { id } = await statusOf(member);
  const [other] = others as [EtcdMember];
  const client = createClient(Cluster, createGrpcTransport({ baseUrl: `http://${other.address}` }));
  for (const deadline = Date.now() + 60_000; ; await sleep(500)) {
    const asked = performance.now();
    try {
      await client.memberRemove({ ID: id }, { timeoutMs: 20_000 });
      return asked;
    } catch (error) {
      // etcd lets nobody go before its members have known each other for a few seconds, nor without a leader
      if (!/unhealthy cluster|no leader/.test(String(error)) || Date.now() > deadline) throw error;
    }
  }
}
