/** The reads by which the proxy finds out what it cannot know. They count keys, so that none travels. */
import type { KeyRange } from './key-range.ts';
import { rangeRequest } from './range-request.ts';

/** The lightest linearizable read: who answers it has caught up with the cluster. */
export const COUNT_ONE: Uint8Array = rangeRequest({ key: '\0', countOnly: true });

/** The lightest read of all: any member answers it at once, from what it has. */
export const COUNT_ANY: Uint8Array = rangeRequest({ key: '\0', countOnly: true, serializable: true });

/**
 * A linearizable count of one key: its header has the store's revision. The key is of the range, since the proxy's user
 * need not be allowed to read any other.
 */
export function revisionRequest({ start }: KeyRange): Uint8Array {
  return rangeRequest({ key: start, countOnly: true });
}

/** A linearizable count of a range: etcd refuses it to whom it would refuse a watch of the range. */
export function permissionRequest({ start, rangeEnd }: KeyRange): Uint8Array {
  return rangeRequest({ key: start, rangeEnd, countOnly: true });
}
