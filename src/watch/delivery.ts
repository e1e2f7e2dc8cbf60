/**
 * Hands batches to a watcher: the shared bytes as they are wherever that is possible, a copy of its own where the
 * client needs another form.
 */

import type { Audience } from './audience.ts';
import type { Batch } from './batch.ts';
import type { History } from './history.ts';
import type { WatchStats } from './stats.ts';
import type { TurnVisits } from './turn-visits.ts';
import type { Watcher } from './watcher.ts';

/** etcd gives a watcher that catches up at most so many revisions at once. */
const MERGE_REVISIONS = 1000;
/** The events of a backlog that go into one response, as a rule, in bytes. */
const MERGE_BYTES = 1 << 20;
/** The same while many are behind: merged responses are copies. */
const MERGE_BYTES_CROWDED = 32 << 10;
const CROWD = 32;

/** What is told of what is sent to watchers that are behind, and looked at for them. */
export interface BacklogBounds {
  readonly stats: WatchStats;
  readonly visits: TurnVisits;
}

/** Sends a watcher a batch that is for it. `tail` is the batch for the watcher's audience. */
export function deliver(watcher: Watcher, batch: Batch, tail: Buffer, audience: Audience<Watcher>): void {
  if (watcher.sendShared(batch, tail)) return;
  const selection = audience.selection();
  audience.select(batch, watcher.next, selection);
  watcher.sendSelected(batch, selection);
}

/**
 * Sends a watcher the batch at a position of the history, and more in the same response while it catches up for the
 * first time; then it needs what comes behind them.
 */
export function deliverBacklog(
  watcher: Watcher,
  history: History,
  position: number,
  { stats, visits }: BacklogBounds,
): void {
  const audience = watcher.audience as Audience<Watcher>;
  if (watcher.mergesBacklog) {
    visits.spend(deliverMerged(watcher, audience, history, position, stats));
    return;
  }
  const batch = history.at(position) as Batch;
  visits.spend(batch.events.length);
  const tail = audience.encode(batch);
  if (tail === undefined) watcher.pass(batch);
  else {
    deliver(watcher, batch, tail, audience);
    stats.countDelivered(1);
  }
}

/** @returns how many events were looked at */
function deliverMerged(
  watcher: Watcher,
  audience: Audience<Watcher>,
  history: History,
  position: number,
  stats: WatchStats,
): number {
  const limit = stats.lagging > CROWD ? MERGE_BYTES_CROWDED : MERGE_BYTES;
  const selection = audience.selection();
  let revisions = 0;
  let visits = 0;
  let last: Batch | undefined;
  for (
    let at = position;
    at < history.length && revisions < MERGE_REVISIONS && selection.bytes < limit;
    at++
  ) {
    const batch = history.at(at) as Batch;
    // A huge one goes out by itself.
    if (last !== undefined && (batch.isHuge || revisions + batch.revisions > MERGE_REVISIONS)) break;
    last = batch;
    visits += last.events.length;
    const before = selection.count;
    audience.select(last, watcher.next, selection);
    if (selection.count > before) revisions += last.revisions;
  }
  if (last === undefined) return visits;
  watcher.sendSelected(last, selection);
  if (selection.count > 0) stats.countDelivered(1);
  return visits;
}
