/** The ends of a feed, and which of etcd's refusals is one. */
import { saysNoLeader } from '../../etcd/words.ts';
import { Code, NO_STREAM_LEFT, type Status } from '../../rpc/status.ts';
import type { Header } from './response.ts';

/** How etcd ended a feed for good. */
export type Terminal =
  | { readonly kind: 'compacted'; readonly header: Header; readonly revision: number }
  | { readonly kind: 'canceled'; readonly header: Header; readonly reason: string }
  | { readonly kind: 'status'; readonly status: Status };

/**
 * Whether a status says that opening the watch again would not help. Everything else is a failure of a connection
 * or of one member.
 */
export function isFinal(status: Status): boolean {
  const { code, message } = status;
  if (saysNoLeader(status) || message.includes(NO_STREAM_LEFT)) return true;
  switch (code) {
    case Code.INVALID_ARGUMENT:
    case Code.NOT_FOUND:
    case Code.PERMISSION_DENIED:
    case Code.RESOURCE_EXHAUSTED:
    case Code.FAILED_PRECONDITION:
    case Code.OUT_OF_RANGE:
    case Code.UNIMPLEMENTED:
    case Code.UNAUTHENTICATED:
      return true;
    default:
      return false;
  }
}

/** Whether a status is what calls end with while etcd or the way to it fails, which passes. */
export function isOutage({ code }: Pick<Status, 'code'>): boolean {
  return code === Code.UNAVAILABLE || code === Code.DEADLINE_EXCEEDED || code === Code.CANCELLED;
}
