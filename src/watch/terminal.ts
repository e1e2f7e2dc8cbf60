/** The ends of a feed, and of what a fault of the program ends. */
import type { Header } from '../etcd/header.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';

/** How etcd ended a feed for good. */
export type Terminal =
  | { readonly kind: 'compacted'; readonly header: Header; readonly revision: number }
  | { readonly kind: 'canceled'; readonly header: Header; readonly reason: string }
  | { readonly kind: 'status'; readonly status: Status };

/** What a client hears whose watch met a fault of the program: it resumes, on another feed. */
export const FAULT: Status = new RpcError(
  Code.UNAVAILABLE,
  'etcd-connect-proxy: a fault while serving watches',
);

/** What a client hears whose watch would be on another cluster than the one that answered its create request. */
export const OTHER_CLUSTER: Status = new RpcError(
  Code.UNAVAILABLE,
  'etcd-connect-proxy: two connections to one address of etcd lead to different clusters',
);

/** So does each client that is on a feed which met a fault. */
export const FAULTY: Terminal = { kind: 'status', status: FAULT };

/**
 * What a client hears when etcd refuses to go on with a watch that it has had, because its token is worth nothing any
 * more. Directly, the client's own stream would have broken; it signs in again and resumes, or is refused by etcd then.
 */
export const notGoneOnWith = (reason: string): string =>
  `etcd-connect-proxy: etcd does not go on with the watch: ${reason}`;
