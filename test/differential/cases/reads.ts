/** Calls that change nothing, beside those of ranges: for the comparison on the very same store. */
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { type Case, calls } from '../case.ts';
import { at, b, rpc, under } from '../rpc.ts';

const maintenance = Maintenance.method;
const auth = Auth.method;

export const readCases: readonly Case[] = [
  calls(
    'reads: a large value',
    rpc(KV.method.range, at('range/large')),
    rpc(KV.method.rangeStream, under('range/')),
  ),
  calls(
    'reads: a transaction that only reads',
    rpc(KV.method.txn, {
      success: [{ request: { case: 'requestRange', value: under('range/') } }],
    }),
  ),
  calls(
    'reads: members',
    rpc(Cluster.method.memberList),
    rpc(Cluster.method.memberList, { linearizable: true }),
  ),
  calls(
    'reads: six megabytes',
    rpc(KV.method.range, under('large/')),
    rpc(KV.method.rangeStream, under('large/')),
  ),
  calls('reads: leases', rpc(Lease.method.leaseLeases), rpc(Lease.method.leaseTimeToLive, { ID: 404n })),
  calls('reads: status', rpc(maintenance.status)),
  calls('reads: alarms', rpc(maintenance.alarm)),
  calls(
    'reads: hashes',
    rpc(maintenance.hash),
    rpc(maintenance.hashKV),
    rpc(maintenance.hashKV, { revision: 5n }),
  ),
  calls(
    'reads: auth',
    rpc(auth.authStatus),
    rpc(auth.userList),
    rpc(auth.roleList),
    rpc(auth.userGet, { name: 'root' }),
    rpc(auth.authDisable),
  ),
  calls('reads: nobody leads', rpc(Election.method.leader, { name: b('nobody') })),
];
