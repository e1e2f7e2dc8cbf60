/**
 * With how many others a watch may share a stream. When a stream fails for a reason that an outage does not explain, such as a
 * message that is too large, one of its watches may be what it fails by: they come back with few others each, then alone.
 */
import { isFinal, isOutage, isTooLarge } from '../../etcd/statuses.ts';
import { saysNoLeader } from '../../etcd/words.ts';
import { Code, RpcError, type Status } from '../../rpc/status.ts';

/** Watches of one stream. */
export const FULL = 1000;
/** The same while one of them is suspected. */
export const FEW = 32;
/** A stream of its own. */
export const ALONE = 1;

/**
 * A stream that lived for so long was a good one: the next one need not wait, and where it has ended for no known reason, it has not
 * failed by its watches. Milliseconds.
 */
export const LIVED_MS = 3000;

/** Watches that are with few others, or alone, because one of them was suspected may join the rest after so long. Milliseconds. */
export const PROBATION_MS = 30_000;

/** The stream, as far as that decides. */
interface Stream {
  readonly limit: number;
  readonly size: number;
  readonly openedAt: number;
}

/** Whether a status is about the client, or about any stream of its. */
function isForAll(status: Status): boolean {
  return (
    saysNoLeader(status) ||
    status.cause === 'no-stream' ||
    status.code === Code.UNAUTHENTICATED ||
    status.code === Code.PERMISSION_DENIED ||
    status.code === Code.UNIMPLEMENTED
  );
}

/** What becomes of the watches of a stream that etcd has ended: what they are told, and how many may be together again. */
export function afterEnd(
  { limit, size, openedAt }: Stream,
  status: Status,
): { status: Status; company: number } {
  if (isOutage(status) || isForAll(status)) return { status, company: limit };
  const isFault = status.code === Code.INTERNAL || status.code === Code.UNKNOWN;
  const lived = performance.now() - openedAt >= LIVED_MS;
  const again = new RpcError(Code.UNAVAILABLE, `a stream of ${size} watches has ended: ${status.message}`);
  if (isFault && lived) return { status: again, company: limit };
  // What does not help one that was alone may still be helped by fragments, which only streams of one watch have.
  if (size === 1) return { status: isFinal(status) && !isTooLarge(status) ? again : status, company: ALONE };
  return { status: again, company: limit > FEW ? FEW : ALONE };
}
