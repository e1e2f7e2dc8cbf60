/** What the status of a call that etcd answered, or could not, means for whoever may ask again. */
import { Code, type Status } from '../rpc/status.ts';
import { saysNoLeader, saysTooLargeToSend } from './words.ts';

/**
 * Whether a status says that opening the watch again would not help. Everything else is a failure of a connection
 * or of one member.
 */
export function isFinal(status: Status): boolean {
  if (saysNoLeader(status) || status.cause === 'no-stream') return true;
  switch (status.code) {
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

/** Whether a message of etcd's was too large as a whole, for etcd to send or for the proxy to receive. */
export function isTooLarge(status: Status): boolean {
  return (
    status.code === Code.RESOURCE_EXHAUSTED && (status.cause === 'too-large' || saysTooLargeToSend(status))
  );
}

/** Whether a status is what calls end with while etcd or the way to it fails, which passes. */
export function isOutage({ code }: Pick<Status, 'code'>): boolean {
  return code === Code.UNAVAILABLE || code === Code.DEADLINE_EXCEEDED || code === Code.CANCELLED;
}

/** Whether etcd answered that this client may not do this. */
export function isRefusal({ code }: Pick<Status, 'code'>): boolean {
  return (
    code === Code.PERMISSION_DENIED ||
    code === Code.UNAUTHENTICATED ||
    code === Code.INVALID_ARGUMENT ||
    code === Code.FAILED_PRECONDITION
  );
}
