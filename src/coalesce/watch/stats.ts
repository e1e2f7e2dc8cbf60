/** What the hub counts, as plain numbers; the metrics read them when somebody scrapes. */

export class WatchStats {
  /** Watchers of clients. */
  watchers = 0;
  /** Feeds, with and without watchers. */
  feeds = 0;
  /** Feeds that bring watchers up to the history of another. */
  catchUps = 0;
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

  /** A batch went to so many watchers. */
  delivered(count: number): void {
    this.deliveries += count;
    if (count > 1) this.shared += count - 1;
  }
}
