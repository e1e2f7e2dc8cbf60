/** What the hub counts, as plain numbers; the metrics read them at each scrape. */
import type { Batch } from './batch.ts';

/** A bound of the hub's that was reached. */
export type WatchLimit =
  | 'fields'
  | 'fragments'
  | 'lingering'
  | 'long_keys'
  | 'missed'
  | 'moves'
  | 'relays'
  | 'response_bytes'
  | 'waiting';

export class WatchStats {
  /** Watchers of clients. */
  watchers = 0;
  /** Feeds, with and without watchers. */
  feeds = 0;
  /** Feeds that bring watchers up to the history of another. */
  catchUps = 0;
  /** Streams to etcd that feeds ride on. */
  streams = 0;
  /** Feeds that have moved from one stream to another while they went on. */
  moves = 0;
  /** Watchers whose clients do not keep up. */
  lagging = 0;
  /** Events received from etcd. */
  events = 0;
  /** Events received that had been applied already, and were dropped. */
  repeated = 0;
  /** Responses with events sent to clients. */
  deliveries = 0;
  /** Of these, the ones that cost etcd nothing: all but one of a batch. */
  shared = 0;
  /** Bytes of events sent to clients. */
  bytes = 0;
  /** Of these, the ones that were not copied for one client. */
  sharedBytes = 0;
  /** Feeds whose stream was lost and opened again. */
  resumes = 0;
  /** Streams ended because their watchers lagged too far behind. */
  evicted = 0;
  /** Faults of the program, for each of which client streams were ended, or a feed with all that were on it. */
  faults = 0;
  readonly limits: Record<WatchLimit, number> = {
    fields: 0,
    fragments: 0,
    lingering: 0,
    long_keys: 0,
    missed: 0,
    moves: 0,
    relays: 0,
    response_bytes: 0,
    waiting: 0,
  };

  /** etcd sent so many events; the batches hold those that were new. */
  countReceived(count: number, batches: readonly Batch[]): void {
    let added = 0;
    for (const { events } of batches) added += events.length;
    this.events += added;
    this.repeated += count - added;
  }

  /** A batch went to so many watchers. */
  countDelivered(count: number): void {
    this.deliveries += count;
    if (count > 1) this.shared += count - 1;
  }
}
