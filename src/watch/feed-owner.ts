/** What a feed watches, and who decides whom it serves. */
import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { Watcher } from './watcher.ts';

/** What a feed watches. */
export interface FeedOptions<Feed> {
  readonly range: KeyRange;
  readonly prevKv: boolean;
  /** The first revision whose events are wanted; `now`: the one after etcd's when it has the watch. */
  readonly start: number | 'now';
  /** Whether it is started for events of the past. */
  readonly past: boolean;
  /** What has told its first watcher where it starts; `NO_HEADER`: not known, or nobody was told. */
  readonly told: Header;
  /** The feed that this one's watchers move to as soon as they have caught up with its history. */
  readonly target: Feed | undefined;
}

/** Decides which feed serves whom. */
export interface FeedOwner<Feed> {
  /** The feed has its first user, or its first again. */
  onUsed(feed: Feed): void;
  /** The feed's last user has gone. */
  onUnused(feed: Feed): void;
  /** The feed may have come further. */
  onTaken(feed: Feed): void;
  /** The feed takes no new users from now on. */
  onRetired(feed: Feed): void;
  /** The feed has forgotten what the watcher needs next. */
  onOutrun(feed: Feed, watcher: Watcher): void;
  /** Finds a feed for a watcher that is on none. @param header what etcd has said of itself lately */
  place(watcher: Watcher, header: Header): void;
  /** Ends the feed: {@link Feed.stop}, and nothing else of it is left. */
  close(feed: Feed): void;
}
