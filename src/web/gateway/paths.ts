/** The paths of etcd's JSON gateway, below `/v3/`, and the methods behind them. */
import type { DescMethod } from '@bufbuild/protobuf';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';

/** The method of each path. */
export const PATHS: ReadonlyMap<string, DescMethod> = new Map<string, DescMethod>([
  ['kv/range', KV.method.range],
  ['kv/put', KV.method.put],
  ['kv/deleterange', KV.method.deleteRange],
  ['kv/txn', KV.method.txn],
  ['kv/compaction', KV.method.compact],
  ['watch', Watch.method.watch],
  ['lease/grant', Lease.method.leaseGrant],
  ['lease/revoke', Lease.method.leaseRevoke],
  ['kv/lease/revoke', Lease.method.leaseRevoke],
  ['lease/keepalive', Lease.method.leaseKeepAlive],
  ['lease/timetolive', Lease.method.leaseTimeToLive],
  ['kv/lease/timetolive', Lease.method.leaseTimeToLive],
  ['lease/leases', Lease.method.leaseLeases],
  ['kv/lease/leases', Lease.method.leaseLeases],
  ['cluster/member/add', Cluster.method.memberAdd],
  ['cluster/member/remove', Cluster.method.memberRemove],
  ['cluster/member/update', Cluster.method.memberUpdate],
  ['cluster/member/list', Cluster.method.memberList],
  ['cluster/member/promote', Cluster.method.memberPromote],
  ['maintenance/alarm', Maintenance.method.alarm],
  ['maintenance/status', Maintenance.method.status],
  ['maintenance/defragment', Maintenance.method.defragment],
  ['maintenance/hash', Maintenance.method.hash],
  ['maintenance/hashkv', Maintenance.method.hashKV],
  ['maintenance/snapshot', Maintenance.method.snapshot],
  ['maintenance/transfer-leadership', Maintenance.method.moveLeader],
  ['maintenance/downgrade', Maintenance.method.downgrade],
  ['auth/enable', Auth.method.authEnable],
  ['auth/disable', Auth.method.authDisable],
  ['auth/status', Auth.method.authStatus],
  ['auth/authenticate', Auth.method.authenticate],
  ['auth/user/add', Auth.method.userAdd],
  ['auth/user/get', Auth.method.userGet],
  ['auth/user/list', Auth.method.userList],
  ['auth/user/delete', Auth.method.userDelete],
  ['auth/user/changepw', Auth.method.userChangePassword],
  ['auth/user/grant', Auth.method.userGrantRole],
  ['auth/user/revoke', Auth.method.userRevokeRole],
  ['auth/role/add', Auth.method.roleAdd],
  ['auth/role/get', Auth.method.roleGet],
  ['auth/role/list', Auth.method.roleList],
  ['auth/role/delete', Auth.method.roleDelete],
  ['auth/role/grant', Auth.method.roleGrantPermission],
  ['auth/role/revoke', Auth.method.roleRevokePermission],
  ['lock/lock', Lock.method.lock],
  ['lock/unlock', Lock.method.unlock],
  ['election/campaign', Election.method.campaign],
  ['election/proclaim', Election.method.proclaim],
  ['election/leader', Election.method.leader],
  ['election/observe', Election.method.observe],
  ['election/resign', Election.method.resign],
]);

/** etcd serves the paths under both. Clients of forward proxies send the whole address (RFC 9112 section 3.2.2). */
const TARGET = /^(?:https?:\/\/[^/?]*)?\/v3(?:beta)?\/([^?]*)/;

/** No target of these is longer, with a host and each character as its number, but for its query. Characters. */
const MAX_ENCODED = 1024;

/** The method of a request's target. */
export function methodAt(target: string): DescMethod | undefined {
  const path = TARGET.exec(target)?.[1];
  const method = path === undefined ? undefined : PATHS.get(path);
  return method ?? (target.includes('%') ? methodEncoded(target) : undefined);
}

/** As Go reads paths: a character may be written as its number. */
function methodEncoded(target: string): DescMethod | undefined {
  const [path = ''] = target.split('?', 1);
  if (path.length > MAX_ENCODED) return undefined;
  const characters = path.replaceAll(/%([\da-f]{2})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  // Such a question mark is a part of the path.
  const below = characters.includes('?') ? undefined : TARGET.exec(characters)?.[1];
  return below === undefined ? undefined : PATHS.get(below);
}

/** Paths that etcd cleans, if they are not. */
const CLEANED = /^\/+v3(?:\/|$)/;

/**
 * Where a request's target is to be asked for instead, as Go's `ServeMux` says it of paths with empty parts or dots, and of `/v3`
 * without a slash. Undefined: it is as it should be, or not below `/v3`.
 */
export function redirectOf(target: string): string | undefined {
  const [path = ''] = target.split('?', 1);
  if (!CLEANED.test(path)) return undefined;
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  const end = path.endsWith('/') || kept.length === 1 ? '/' : '';
  const clean = `/${kept.join('/')}${end}`;
  return kept[0] !== 'v3' || clean === path ? undefined : clean + target.slice(path.length);
}
