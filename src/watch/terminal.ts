/** The ends of a feed. */
import type { Header } from '../etcd/header.ts';
import type { Status } from '../rpc/status.ts';

/** How etcd ended a feed for good. */
export type Terminal =
  | { readonly kind: 'compacted'; readonly header: Header; readonly revision: number }
  | { readonly kind: 'canceled'; readonly header: Header; readonly reason: string }
  | { readonly kind: 'status'; readonly status: Status };
