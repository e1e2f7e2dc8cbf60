/** What a feed needs of the hub around it. */

import type { Asker } from '../clients/probe.ts';
import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { Feed } from './feed.ts';
import type { FragmentLimit } from './fragments.ts';
import type { HistoryBudget } from './history.ts';
import type { ProgressInterval } from './progress-interval.ts';
import type { WatchStats } from './stats.ts';
import type { Turns } from './turns.ts';
import type { UpstreamWatch, UpstreamWatchOwner, UpstreamWatchRequest } from './upstream-watch.ts';
import type { Versions } from './versions.ts';
import type { Watcher } from './watcher.ts';

export interface FeedContext {
  readonly budget: HistoryBudget;
  /** Batches that one feed may remember. */
  readonly maxRevisions: number;
  readonly stats: WatchStats;
  readonly versions: Versions;
  readonly fragments: FragmentLimit;
  readonly interval: ProgressInterval;
  /** Those of catch-ups. */
  readonly turns: Turns;
  /** Asks for the revision that etcd's member has, and whether the range may be read. */
  probe(range: KeyRange, asker: Asker): void;
  openWatch(request: UpstreamWatchRequest, owner: UpstreamWatchOwner): UpstreamWatch;
  /** The feed serves nobody new from now on. */
  ended(feed: Feed): void;
  /** The feed has its first watcher, or its first again. */
  used(feed: Feed): void;
  /** The feed's last watcher has gone. */
  unused(feed: Feed): void;
  /** The feed has forgotten what the watcher needs next. */
  replace(watcher: Watcher): void;
  /**
   * The watcher is on no feed and needs one.
   * @param header what etcd has said of itself lately
   * @param anew etcd has to say whether the watcher's revision still exists: no history will do
   */
  place(watcher: Watcher, header: Header, anew?: boolean): void;
}
