/** What each method does to the cluster, as `docs/v2-proxy.md` has it. A method more needs a line more. */

/** `looks`: only when its request says so, as one without any fields does. */
export type Access = 'reads' | 'writes' | 'looks';

const of = (service: string, methods: Readonly<Record<string, Access>>): Record<string, Access> =>
  Object.fromEntries(Object.entries(methods).map(([name, access]) => [`/${service}/${name}`, access]));

/** By path. */
export const ACCESS: Readonly<Record<string, Access>> = {
  ...of('etcdserverpb.KV', {
    Range: 'reads',
    RangeStream: 'reads',
    Put: 'writes',
    DeleteRange: 'writes',
    Txn: 'looks',
    Compact: 'writes',
  }),
  ...of('etcdserverpb.Watch', { Watch: 'reads' }),
  ...of('etcdserverpb.Lease', {
    LeaseGrant: 'writes',
    LeaseRevoke: 'writes',
    LeaseKeepAlive: 'writes',
    LeaseTimeToLive: 'reads',
    LeaseLeases: 'reads',
  }),
  ...of('etcdserverpb.Cluster', {
    MemberAdd: 'writes',
    MemberRemove: 'writes',
    MemberUpdate: 'writes',
    MemberList: 'reads',
    MemberPromote: 'writes',
  }),
  ...of('etcdserverpb.Maintenance', {
    Alarm: 'looks',
    Status: 'reads',
    Defragment: 'writes',
    Hash: 'reads',
    HashKV: 'reads',
    Snapshot: 'reads',
    MoveLeader: 'writes',
    Downgrade: 'looks',
  }),
  ...of('etcdserverpb.Auth', {
    AuthEnable: 'writes',
    AuthDisable: 'writes',
    AuthStatus: 'reads',
    Authenticate: 'reads',
    UserAdd: 'writes',
    UserGet: 'reads',
    UserList: 'reads',
    UserDelete: 'writes',
    UserChangePassword: 'writes',
    UserGrantRole: 'writes',
    UserRevokeRole: 'writes',
    RoleAdd: 'writes',
    RoleGet: 'reads',
    RoleList: 'reads',
    RoleDelete: 'writes',
    RoleGrantPermission: 'writes',
    RoleRevokePermission: 'writes',
  }),
  ...of('v3lockpb.Lock', { Lock: 'writes', Unlock: 'writes' }),
  ...of('v3electionpb.Election', {
    Campaign: 'writes',
    Proclaim: 'writes',
    Leader: 'reads',
    Observe: 'reads',
    Resign: 'writes',
  }),
  ...of('etcdconnect.v1.Browser', { Watch: 'reads', LeaseKeepAliveOnce: 'writes' }),
  ...of('grpc.health.v1.Health', { Check: 'reads', Watch: 'reads' }),
};
