/**
 * The methods of etcd's API and what may be done with each, a line each. They are written here once more beside the
 * `.proto` files, since descriptors take long to load and only the doors that read messages need them; a test compares
 * the two.
 */
import type { Method, MethodKind, Pace } from '../rpc/method.ts';

/** What is not as in most methods: unary, with an effect, answered soon. */
interface Traits {
  readonly kind?: MethodKind;
  /** Unary methods: `NO_SIDE_EFFECTS` in the `.proto` file. Streams: opening one again changes nothing. */
  readonly idempotent?: boolean;
  readonly pace?: Pace;
}

const READ: Traits = { idempotent: true };
const WRITE: Traits = {};

/** The methods of one service, by name. @param service its full name */
export function methodsOf<Name extends string>(
  service: string,
  methods: Readonly<Record<Name, Traits>>,
): Readonly<Record<Name, Method>> {
  const made: Partial<Record<Name, Method>> = {};
  for (const name of Object.keys(methods) as Name[]) {
    const { kind = 'unary', idempotent = false, pace = kind === 'unary' ? 'prompt' : 'slow' } = methods[name];
    made[name] = { path: `/${service}/${name}`, service, name, kind, idempotent, pace };
  }
  return made as Record<Name, Method>;
}

/** etcd's keys. */
export const KV = methodsOf('etcdserverpb.KV', {
  Range: READ,
  RangeStream: { kind: 'server_stream', idempotent: true },
  Put: WRITE,
  DeleteRange: WRITE,
  Txn: WRITE,
  Compact: WRITE,
});

/** etcd's watches: many on one stream. */
export const Watch = methodsOf('etcdserverpb.Watch', {
  Watch: { kind: 'bidi_stream', idempotent: true, pace: 'following' },
});

/** etcd's leases. */
export const Lease = methodsOf('etcdserverpb.Lease', {
  LeaseGrant: WRITE,
  LeaseRevoke: WRITE,
  // A heartbeat sent twice renews a lease at the time it is sent, which its client asked for.
  LeaseKeepAlive: { kind: 'bidi_stream', idempotent: true, pace: 'heartbeats' },
  LeaseTimeToLive: READ,
  LeaseLeases: READ,
});

/** The members of etcd's cluster. */
export const Cluster = methodsOf('etcdserverpb.Cluster', {
  MemberAdd: WRITE,
  MemberRemove: WRITE,
  MemberUpdate: WRITE,
  MemberList: READ,
  MemberPromote: WRITE,
});

/** What operators ask of members, and alarms. */
export const Maintenance = methodsOf('etcdserverpb.Maintenance', {
  Alarm: WRITE,
  Status: READ,
  Defragment: { pace: 'slow' },
  Hash: { idempotent: true, pace: 'slow' },
  HashKV: { idempotent: true, pace: 'slow' },
  Snapshot: { kind: 'server_stream', idempotent: true },
  MoveLeader: WRITE,
  Downgrade: WRITE,
});

/** etcd's users, roles and tokens. */
export const Auth = methodsOf('etcdserverpb.Auth', {
  AuthEnable: WRITE,
  AuthDisable: WRITE,
  AuthStatus: READ,
  Authenticate: WRITE,
  UserAdd: WRITE,
  UserGet: READ,
  UserList: READ,
  UserDelete: WRITE,
  UserChangePassword: WRITE,
  UserGrantRole: WRITE,
  UserRevokeRole: WRITE,
  RoleAdd: WRITE,
  RoleGet: READ,
  RoleList: READ,
  RoleDelete: WRITE,
  RoleGrantPermission: WRITE,
  RoleRevokePermission: WRITE,
});

/** etcd's locks. A call waits at etcd until it has the lock. */
export const Lock = methodsOf('v3lockpb.Lock', {
  Lock: { pace: 'waiting' },
  Unlock: WRITE,
});

/** etcd's elections. A campaign waits at etcd until it is won. */
export const Election = methodsOf('v3electionpb.Election', {
  Campaign: { pace: 'waiting' },
  Proclaim: WRITE,
  Leader: READ,
  Observe: { kind: 'server_stream', idempotent: true, pace: 'following' },
  Resign: WRITE,
});

/** All that etcd serves and the proxy forwards. */
export const ETCD_METHODS: readonly Method[] = [
  KV,
  Watch,
  Lease,
  Cluster,
  Maintenance,
  Auth,
  Lock,
  Election,
].flatMap((service): Method[] => Object.values(service));

/**
 * A method that is in no table: forwarded as a stream of bytes, never sent twice. For metrics it has no name of its
 * own, so that strangers' paths cannot grow the table of series.
 */
export function unknownMethod(path: string): Method {
  return { path, service: 'unknown', name: 'unknown', kind: 'bidi_stream', idempotent: false, pace: 'slow' };
}
