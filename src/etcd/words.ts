/**
 * What etcd says, as far as the proxy understands it or says it itself. Where the member that was asked cannot serve
 * although another one may: one table, with the release that each text comes from (`api/v3rpc/rpctypes/error.go` and the gRPC interceptors of etcd).
 */
import { Code, RpcError, type Status } from '../rpc/status.ts';

/** etcd's text where a call demands a leader (`hasleader`) and the member knows none. Since 3.2. */
export const NO_LEADER = 'etcdserver: no leader';

/** etcd's answer to a linearizable read that an election interrupted: nothing was done, asking again is right. Since 3.4. */
export const LEADER_CHANGED = 'etcdserver: leader changed';

/** etcd's text for a revision that is gone. Since 3.0. */
export const COMPACTED = 'etcdserver: mvcc: required revision has been compacted';

/** What etcd's Go client says where no member has come as far as what it was told (`clientv3/ordering`). Since 3.2. */
export const NONE_IS_NEWER =
  'etcdclient: no cluster members have a revision higher than the previously received revision';

/** etcd's answer to Authenticate while auth is off. Since 3.0. */
export const AUTH_IS_OFF = 'etcdserver: authentication is not enabled';

/** etcd's answer to a grant of a lease whose id another one has. Since 3.0. */
const LEASE_EXISTS = 'etcdserver: lease already exists';

/** etcd's answer to a heartbeat where the member took itself for the leader and is none. Since 3.0. */
const NOT_PRIMARY = 'not a primary lessor';

/** etcd's reason to cancel a watch whose number the client gave to another one on the same stream. Since 3.4. */
export const DUPLICATE_WATCH_ID = 'mvcc: duplicate watch ID provided on the WatchStream';

/** How the text of gRPC begins, or goes on, when etcd's own library cannot send a reply: no message has 2 GiB. Since 3.2. */
const TOO_LARGE_TO_SEND = 'trying to send message larger than max';

/** What a refusal says about the member that gave it, the most useful member first. */
export const Standing = {
  /** It may serve in a moment. */
  BUSY: 1,
  /** It knows no leader. */
  LEADERLESS: 2,
  /** It is going away or was never able to. */
  UNFIT: 3,
  /** It has no vote and takes neither writes nor linearizable reads. */
  LEARNER: 4,
} as const;

/** A refusal that is about the member and not about the call. */
export interface MemberRefusal {
  /** etcd's text, or its beginning where etcd says more in some cases. */
  readonly text: string;
  /** The release that first says it. */
  readonly since: string;
  /** A number of {@link Standing}. */
  readonly standing: number;
  /** The call was refused before anything was done, so that any call may be asked again. */
  readonly noEffect: boolean;
}

const REFUSALS: readonly MemberRefusal[] = [
  // The gRPC interceptors look before a call begins; streams under way are ended with the same text.
  { text: NO_LEADER, since: '3.2', standing: Standing.LEADERLESS, noEffect: true },
  {
    text: 'etcdserver: rpc not supported for learner',
    since: '3.4',
    standing: Standing.LEARNER,
    noEffect: true,
  },
  { text: 'etcdserver: not capable', since: '3.0', standing: Standing.UNFIT, noEffect: true },
  // More than 5 000 entries wait to be applied; the proposal is not made.
  { text: 'etcdserver: too many requests', since: '3.0', standing: Standing.BUSY, noEffect: true },
  // Also "..., possibly due to previous leader failure", "... due to connection lost", and from 3.5 on
  // "..., waiting for the applied index took too long". What was proposed may take effect later.
  { text: 'etcdserver: request timed out', since: '3.0', standing: Standing.LEADERLESS, noEffect: false },
  // etcd's own limit of seven seconds for a proposal, where the member knew no leader when it was asked; code 2 in 3.4.
  { text: 'context deadline exceeded', since: '3.4', standing: Standing.LEADERLESS, noEffect: false },
  { text: 'etcdserver: server stopped', since: '3.0', standing: Standing.UNFIT, noEffect: false },
  { text: 'raft: stopped', since: '3.0', standing: Standing.UNFIT, noEffect: false },
];

/** Any other UNAVAILABLE that was answered: of something between the proxy and etcd, or of a release to come. */
const UNKNOWN: MemberRefusal = { text: '', since: '', standing: Standing.BUSY, noEffect: false };

/**
 * What an answered status says about the member, or `undefined` when it is about the call. `leader changed` is not among
 * them: the member serves.
 */
export function refusalIn({ code, message }: Status): MemberRefusal | undefined {
  if (code === Code.OK) return undefined;
  for (const refusal of REFUSALS) if (message.startsWith(refusal.text)) return refusal;
  return code === Code.UNAVAILABLE && !saysLeaderChanged({ message }) ? UNKNOWN : undefined;
}

/** Whether a status says that the member knows no leader. */
export function saysNoLeader({ message }: Pick<Status, 'message'>): boolean {
  return message.startsWith(NO_LEADER);
}

/** Whether etcd could not send what it had to say as one message. */
export function saysTooLargeToSend({ message }: Pick<Status, 'message'>): boolean {
  return message.includes(TOO_LARGE_TO_SEND);
}

/** Whether an election interrupted the call. */
export function saysLeaderChanged({ message }: Pick<Status, 'message'>): boolean {
  return message === LEADER_CHANGED;
}

/** Whether the revision asked for is compacted. The same code also stands for one that is not there yet. */
export function saysCompacted({ message }: Pick<Status, 'message'>): boolean {
  return message.startsWith(COMPACTED);
}

/** etcd's texts where it knows no token of the caller's, or not any more. Since 3.1, 3.0 and 3.1. */
const TOKEN_WANTED = [
  'etcdserver: invalid auth token',
  'etcdserver: user name is empty',
  'etcdserver: revision of auth store is old',
] as const;

/**
 * Whether etcd wants another token, or one at all, which is no word about what its user may do. It looks at tokens before
 * it does anything, so that any call may be made again.
 */
export function wantsToken({ code, message }: Pick<Status, 'code' | 'message'>): boolean {
  return code === Code.UNAUTHENTICATED || TOKEN_WANTED.some((text) => message.startsWith(text));
}

/** Whether there are no users to be. */
export function saysAuthIsOff({ message }: Pick<Status, 'message'>): boolean {
  return message.startsWith(AUTH_IS_OFF);
}

/** Whether etcd knows who asks, and that user may not. Of a token that is no good it says other things. */
export function saysPermissionDenied({ code }: Pick<Status, 'code'>): boolean {
  return code === Code.PERMISSION_DENIED;
}

/** How the texts of etcd's own API begin. Since 3.0. */
const OF_API = 'etcdserver: ';

/** The same, said by etcd itself: what is on the way to it may say so too, of all that comes. */
export function refusesUser(status: Pick<Status, 'code' | 'message'>): boolean {
  return saysPermissionDenied(status) && status.message.startsWith(OF_API);
}

/**
 * What etcd's locks and elections say where its API refuses them something: they ask it as clients do, and tell its text
 * alone, without the code (`v3lock/lock.go`; since 3.2). UNAVAILABLE stays what it is: any call is refused so.
 */
export function asLocksTell(error: RpcError): RpcError {
  const { code, message } = error;
  const isOfApi = code !== Code.UNAVAILABLE && message.startsWith(OF_API);
  return isOfApi ? new RpcError(Code.UNKNOWN, message) : error;
}

/** The codes of refusals as Go prints them. */
const CODE_NAMES: ReadonlyMap<number, string> = new Map([
  [Code.INVALID_ARGUMENT, 'InvalidArgument'],
  [Code.PERMISSION_DENIED, 'PermissionDenied'],
  [Code.FAILED_PRECONDITION, 'FailedPrecondition'],
  [Code.UNAUTHENTICATED, 'Unauthenticated'],
]);

/** How etcd says in the reply to a watch why it may not be: as Go prints the error that a read gets. */
export function cancelReasonOf({ code, message }: Pick<Status, 'code' | 'message'>): string {
  return `rpc error: code = ${CODE_NAMES.get(code) ?? code} desc = ${message}`;
}

/**
 * Whether a linearizable read was refused for lack of credentials. etcd looks at them only after the read index, so the
 * member that says so serves and has caught up.
 */
export function isRefusedForCredentials({ code }: Pick<Status, 'code'>): boolean {
  return code === Code.INVALID_ARGUMENT || code === Code.PERMISSION_DENIED || code === Code.UNAUTHENTICATED;
}

/** Whether a lease was not granted because there is one with its id. */
export function saysLeaseExists({ message }: Pick<Status, 'message'>): boolean {
  return message.startsWith(LEASE_EXISTS);
}

/** Whether the member that was asked does not keep the leases. */
export function saysNotPrimary({ message }: Pick<Status, 'message'>): boolean {
  return message.startsWith(NOT_PRIMARY);
}

/** The services that every release has. */
const SERVICES: ReadonlySet<string> = new Set([
  ...['KV', 'Watch', 'Lease', 'Cluster', 'Maintenance', 'Auth'].map((name) => `etcdserverpb.${name}`),
  'v3lockpb.Lock',
  'v3electionpb.Election',
  'grpc.health.v1.Health',
]);

/** The text for a method that etcd does not know, as its gRPC library has it. @param path `/service/method` */
export function unknownMethodText(path: string): string {
  const at = path.lastIndexOf('/');
  if (at <= 0) return `malformed method name: ${JSON.stringify(path)}`;
  const service = path.slice(1, at);
  if (!SERVICES.has(service)) return `unknown service ${service}`;
  return `unknown method ${path.slice(at + 1)} for service ${service}`;
}
