/**
 * Kinds of calls to etcd that must not take each other's place: each has connections that no other kind can fill, and what
 * tells does not travel behind large replies.
 */
import type { Method } from '../rpc/method.ts';

/**
 * - `watches`: streams that follow (`Watch`, `Observe`), the most numerous of what stays open, and what is asked of their member.
 * - `heartbeats`: streams that keep leases alive.
 * - `locks`: unary calls that wait for others (`Lock`, `Campaign`).
 * - `bulk`: streams of replies (`Snapshot`, `RangeStream`), and of methods that nobody knows.
 * - `replies`: all other unary calls.
 */
export type Traffic = 'watches' | 'heartbeats' | 'locks' | 'bulk' | 'replies';

/** All kinds. */
export const TRAFFIC: readonly Traffic[] = ['watches', 'heartbeats', 'locks', 'bulk', 'replies'];

/** What kind of traffic calls of a method are. */
export function trafficOf({ kind, pace }: Method): Traffic {
  if (pace === 'following') return 'watches';
  if (kind === 'unary') return pace === 'waiting' ? 'locks' : 'replies';
  return pace === 'heartbeats' ? 'heartbeats' : 'bulk';
}

/** Whether others wait for each small message: such calls have a connection apart from replies, which may be large. */
export function tells(traffic: Traffic): boolean {
  return traffic === 'watches' || traffic === 'heartbeats';
}
