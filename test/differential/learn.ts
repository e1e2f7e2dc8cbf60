/** Learns volatile values from the answers that introduce them: ids and tokens that the server chose. */
import { fromBinary } from '@bufbuild/protobuf';
import { AuthenticateResponseSchema } from '#gen/etcdserverpb/auth_pb.js';
import { MemberAddResponseSchema } from '#gen/etcdserverpb/cluster_pb.js';
import { LeaseGrantRequestSchema, LeaseGrantResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import { CampaignRequestSchema, CampaignResponseSchema } from '#gen/v3electionpb/election_pb.js';
import { LockRequestSchema, LockResponseSchema } from '#gen/v3lockpb/lock_pb.js';
import type { Names } from './names.ts';
import type { Rpc } from './rpc.ts';

type Learner = (request: Uint8Array, reply: Uint8Array, names: Names) => void;

/** The id of the lease that etcd made for a lock or campaign stands at the end of its key. */
function learnOwnLease(key: Uint8Array | undefined, names: Names): void {
  const id = /\/([0-9a-f]+)$/.exec(Buffer.from(key ?? []).toString('latin1'))?.[1];
  if (id !== undefined) names.learnId('lease', BigInt(`0x${id}`));
}

const learners: Readonly<Record<string, Learner>> = {
  '/etcdserverpb.Lease/LeaseGrant': (request, reply, names) => {
    if (fromBinary(LeaseGrantRequestSchema, request).ID === 0n)
      names.learnId('lease', fromBinary(LeaseGrantResponseSchema, reply).ID);
  },
  '/etcdserverpb.Cluster/MemberAdd': (_request, reply, names) => {
    names.learnId('added member', fromBinary(MemberAddResponseSchema, reply).member?.ID ?? 0n);
  },
  '/etcdserverpb.Auth/Authenticate': (_request, reply, names) => {
    names.learnText('token', fromBinary(AuthenticateResponseSchema, reply).token);
  },
  '/v3lockpb.Lock/Lock': (request, reply, names) => {
    if (fromBinary(LockRequestSchema, request).lease === 0n)
      learnOwnLease(fromBinary(LockResponseSchema, reply).key, names);
  },
  '/v3electionpb.Election/Campaign': (request, reply, names) => {
    if (fromBinary(CampaignRequestSchema, request).lease === 0n)
      learnOwnLease(fromBinary(CampaignResponseSchema, reply).leader?.key, names);
  },
};

/** Learns what is volatile in the answers to a call. */
export function learn({ path, request }: Rpc, replies: readonly Uint8Array[], names: Names): void {
  for (const reply of replies) learners[path]?.(request, reply, names);
}
