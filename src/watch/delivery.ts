/**
 * Hands batches to a watcher: the shared bytes as they are wherever that is possible, a copy of its own where the
 * client needs another form.
 */

import { headerField, withRevision } from '../etcd/header.ts';
import type { Audience } from './audience.ts';
import type { Batch } from './batch.ts';
import type { FeedContext } from './feed-context.ts';
import type { History } from './history.ts';
import type { Watcher } from './watcher.ts';

/** etcd gives a watcher that catches up at most so many revisions at once. */
const MERGE_REVISIONS = 1000;
/** The events of a backlog that go into one response, as a rule, in bytes. */
const MERGE_BYTES = 1 << 20;
/** The same while many are behind: merged responses are copies. */
const MERGE_BYTES_CROWDED = 32 << 10;
const CROWD = 32;

/** Sends a watcher a batch that is for it. `tail` is the batch for the watcher's audience. */
export function deliver(watcher: Watcher, batch: Batch, tail: Buffer, audience: Audience): void {
  const whole = watcher.next <= batch.first && batch.header.revision >= watcher.seenRevision;
  if (whole) {
    watcher.next = batch.revision + 1;
    watcher.quiet = false;
    watcher.seenRevision = batch.header.revision;
    watcher.sink.events(watcher, tail, true);
  } else sendParts(watcher, batch, audience.parts(batch, watcher.next));
}

/** Sends a watcher events of its own choice, up to and including the last of `batch`. */
function sendParts(watcher: Watcher, batch: Batch, parts: readonly Buffer[]): void {
  watcher.next = batch.revision + 1;
  if (parts.length === 0) return;
  watcher.quiet = false;
  watcher.seenRevision = Math.max(watcher.seenRevision, batch.header.revision);
  const { bytes } = withRevision(batch.header, watcher.seenRevision);
  watcher.sink.events(watcher, Buffer.concat([headerField(bytes), ...parts]), false);
}

/**
 * Sends a watcher the batch at a position of the history, and more in the same response while it catches up for the
 * first time.
 * @returns how many batches that were
 */
export function deliverBacklog(
  watcher: Watcher,
  history: History,
  position: number,
  context: FeedContext,
): number {
  const audience = watcher.audience as Audience;
  const first = history.at(position) as Batch;
  if (!watcher.fresh) {
    const tail = audience.encode(first);
    if (tail === undefined) watcher.next = first.revision + 1;
    else {
      deliver(watcher, first, tail, audience);
      context.stats.delivered(1);
    }
    return 1;
  }
  return deliverMerged(watcher, audience, history, position, context);
}

function deliverMerged(
  watcher: Watcher,
  audience: Audience,
  history: History,
  position: number,
  context: FeedContext,
): number {
  const limit = context.stats.lagging > CROWD ? MERGE_BYTES_CROWDED : MERGE_BYTES;
  const parts: Buffer[] = [];
  let bytes = 0;
  let revisions = 0;
  let taken = 0;
  let last: Batch | undefined;
  while (position + taken < history.length && revisions < MERGE_REVISIONS && bytes < limit) {
    last = history.at(position + taken++) as Batch;
    const events = audience.parts(last, watcher.next);
    for (const event of events) bytes += event.length;
    if (events.length > 0) revisions += last.revisions;
    parts.push(...events);
  }
  if (last === undefined) return 1;
  sendParts(watcher, last, parts);
  if (parts.length > 0) context.stats.delivered(1);
  return taken;
}
