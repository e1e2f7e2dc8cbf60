/**
 * Which feed of an identity serves a watcher: one whose range contains the watcher's and which still knows the revision
 * that it needs next, or soon will. Where there is none, a feed is started. If another feed covers the range but has forgotten
 * that revision, the new one is a catch-up: its watchers move over as soon as they fit. If another one is far behind it, they
 * move over when that has come.
 */

import { type Header, NO_HEADER } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { Code } from '../rpc/status.ts';
import { type Beginning, Beginnings, type BeginningsOwner } from './beginnings.ts';
import { CatchUps } from './catch-ups.ts';
import { isFarFrom, PassedOver } from './far-behind.ts';
import { Feed } from './feed.ts';
import type { FeedOptions, FeedOwner } from './feed-owner.ts';
import { FeedTable } from './feed-table.ts';
import type { IdentityUpstream } from './identity-upstream.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import type { FeedSubscriber, Subscription } from './subscribers.ts';
import type { Watcher } from './watcher.ts';

/** Catch-ups for watchers whose clients did not keep up; one more ends its stream. */
const MAX_LAGGING_CATCH_UPS = 64;

/** Copies of a token that an identity holds, as it is and encoded, and of keys that a feed does. */
const TOKEN_COPIES = 3;
const RANGE_COPIES = 2;

/** What a watcher is going to need. */
export interface WantedFeed {
  readonly range: KeyRange;
  readonly prevKv: boolean;
  /** From this revision on. */
  readonly next: number;
}

export class FeedPlacement implements FeedOwner<Feed>, BeginningsOwner {
  readonly #shared: SharedFeeds;
  readonly #etcd: IdentityUpstream;
  readonly #onClosed: () => void;
  /** All of them, also those that take no new users. */
  readonly #feeds = new Set<Feed>();
  /** Those that may take new users. */
  readonly #table = new FeedTable();
  readonly #catchUps: CatchUps;
  readonly #beginnings = new Beginnings(this);
  readonly #passedOver = new PassedOver();

  /** @param onClosed is called whenever a feed is gone */
  constructor(shared: SharedFeeds, etcd: IdentityUpstream, onClosed: () => void) {
    this.#shared = shared;
    this.#etcd = etcd;
    this.#onClosed = onClosed;
    this.#catchUps = new CatchUps(shared.stats);
  }

  /** All feeds, also those that have ended and still have readers of their history. */
  get feeds(): ReadonlySet<Feed> {
    return this.#feeds;
  }

  /** Whether a feed would serve a revision, so that etcd itself would not be asked for it. */
  remembers(range: KeyRange, prevKv: boolean, start: number): boolean {
    for (const feed of this.#table.covering(range, prevKv)) if (feed.serves(start)) return true;
    return false;
  }

  /**
   * Whether a feed that etcd serves has all that a watcher needs, so that it costs no new watch on etcd. That etcd lets a watch
   * run on does not say that the same user may begin another one.
   * @param header what etcd has said of itself lately
   */
  carries({ range, prevKv, next }: WantedFeed, header: Header): boolean {
    for (const feed of this.#table.covering(range, prevKv))
      if (feed.state === 'live' && feed.serves(next) && feed.knows(header) && !isFarFrom(feed, next))
        return true;
    return false;
  }

  /**
   * A watch of what comes next will be wanted, and nobody has been told that it is there: has a feed begin for it.
   * @returns what to wait for; `undefined` where a feed of the present covers the range
   */
  begin(range: KeyRange, prevKv: boolean): Beginning | undefined {
    const there = this.#containing(range, prevKv, Number.POSITIVE_INFINITY);
    return there === undefined ? this.#beginnings.of(range, prevKv) : undefined;
  }

  startNow(range: KeyRange, prevKv: boolean): Feed {
    return this.#start({ range, prevKv, start: 'now', target: undefined, past: false, told: NO_HEADER });
  }

  onBegun(feed: Feed): void {
    this.#table.add(feed);
  }

  /**
   * Finds a feed for a watcher that is on none, or starts one.
   * @param header what etcd has said of itself lately
   * @param maybeCompacted etcd has to say whether the watcher's revision still exists: no history will do
   */
  place(watcher: Watcher, header: Header, maybeCompacted = false): void {
    const { range, next, options } = watcher;
    const { prevKv } = options;
    let feed = this.#find(range, prevKv, next, header);
    if (feed === undefined || next < 1 || (maybeCompacted && feed.state !== 'gathering')) {
      const target = next < 1 ? undefined : this.#containing(range, prevKv, next);
      // No watch starts beyond the revision that etcd is known to have: the feed would count everything before its start
      // as known.
      const now = header === NO_HEADER ? next : header.revision + 1;
      const start = Math.min(now, next);
      feed = this.#start({ range, prevKv, start, target, past: next < now, told: header });
    }
    try {
      feed.attach(watcher);
      const behind = this.#passedOver.behind(feed);
      if (behind !== undefined) this.#takeOver(behind);
    } finally {
      // It may have been started for nothing.
      if (!feed.used) this.onUnused(feed);
    }
  }

  /**
   * Puts a subscriber on a feed that brings every event of the range from `next` on; the batches of those that the
   * feed has already come before this returns. It never rides on a catch-up, which ends when its watchers have moved.
   * @param start whether a feed may be started if there is none that fits
   */
  subscribe(
    range: KeyRange,
    prevKv: boolean,
    next: number,
    subscriber: FeedSubscriber,
    start: boolean,
  ): Subscription | undefined {
    let feed: Feed | undefined;
    for (const candidate of this.#table.covering(range, prevKv)) {
      if (candidate.catchesUp || !candidate.serves(next) || isFarFrom(candidate, next)) continue;
      feed = candidate;
      if (feed.state === 'live') break;
    }
    if (feed === undefined && start)
      feed = this.#start({ range, prevKv, start: next, target: undefined, past: false, told: NO_HEADER });
    return feed?.subscribe(range, next, subscriber);
  }

  /** Ends every feed. */
  closeAll(): void {
    for (const feed of [...this.#feeds]) this.close(feed);
  }

  onUsed(feed: Feed): void {
    this.#shared.lingering.onUsed(feed);
  }

  onUnused(feed: Feed): void {
    if (!this.#feeds.has(feed)) return;
    const bytes = RANGE_COPIES * feed.range.bytes + TOKEN_COPIES * this.#etcd.identity.bytes;
    this.#shared.lingering.onUnused(feed, bytes);
  }

  onTaken(feed: Feed): void {
    this.#takeOver(feed);
  }

  onRetired(feed: Feed): void {
    this.#retire(feed);
    if (!feed.used) this.onUnused(feed);
  }

  /**
   * Gives the watcher a feed that goes back further. If that takes one more catch-up, and MAX_LAGGING_CATCH_UPS are there
   * already, its stream ends instead.
   */
  onOutrun(feed: Feed, watcher: Watcher): void {
    const { stats } = this.#shared;
    const { header } = feed;
    feed.cursors.detach(watcher);
    const { range, options, next } = watcher;
    try {
      const served = this.#find(range, options.prevKv, next, header) !== undefined;
      // A catch-up that this was the last watcher of ends: that makes room for the next one.
      const isOneMore = !feed.catchesUp || feed.used;
      if (!served && isOneMore && stats.catchUps >= MAX_LAGGING_CATCH_UPS) {
        stats.evicted++;
        watcher.sink.fail(Code.UNAVAILABLE, 'etcd-connect-proxy: the client reads its watches too slowly');
      } else {
        watcher.startOver();
        this.place(watcher, header);
      }
    } finally {
      if (!feed.used) this.onUnused(feed);
    }
  }

  close(feed: Feed): void {
    if (!this.#feeds.delete(feed)) return;
    const { stats, lingering } = this.#shared;
    stats.feeds--;
    lingering.onUsed(feed);
    this.#shared.attempt(() => this.#retire(feed));
    this.#shared.attempt(() => this.#catchUps.onEnding(feed));
    this.#shared.attempt(() => this.#passedOver.onEnding(feed));
    this.#shared.attempt(() => feed.stop());
    this.#onClosed();
  }

  /** The feed that would serve a watcher from its history, if any. @param header what etcd says of itself now */
  #find(range: KeyRange, prevKv: boolean, next: number, header: Header): Feed | undefined {
    let found: Feed | undefined;
    for (const feed of this.#table.covering(range, prevKv)) {
      if (feed.range.id === range.id) feed.startFrom(next);
      if (!feed.serves(next) || !feed.knows(header) || isFarFrom(feed, next)) continue;
      if (!feed.catchesUp && feed.prevKv === prevKv) return feed;
      if (found === undefined || found.catchesUp) found = feed;
    }
    return found;
  }

  /** A feed that new events of the range come from. @param isFar one that is far from a revision, or one that is not */
  #containing(range: KeyRange, prevKv: boolean, next: number, isFar = false): Feed | undefined {
    for (const feed of this.#table.covering(range, prevKv))
      if (feed.state !== 'ended' && !feed.catchesUp && isFarFrom(feed, next) === isFar) return feed;
    return undefined;
  }

  #start(options: FeedOptions<Feed>): Feed {
    const { stats } = this.#shared;
    const start = options.start === 'now' ? 'now' : Math.min(options.start, Number.MAX_SAFE_INTEGER);
    const feed = new Feed(this.#shared, this.#etcd, this, { ...options, start });
    this.#feeds.add(feed);
    stats.feeds++;
    try {
      this.#catchUps.onStarted(feed);
      if (feed.target === undefined) this.#passOver(feed, start === 'now' ? Number.POSITIVE_INFINITY : start);
      // Releases of etcd differ in what they make of a revision below the first, so such a feed is never shared. What one that
      // begins now can serve is known when it has begun.
      if (start !== 'now' && start >= 1) this.#table.add(feed);
    } catch (error) {
      this.close(feed);
      throw error;
    }
    return feed;
  }

  /** A feed is started from a revision on that another one may be far from, and that one is not to be needed twice. */
  #passOver(feed: Feed, next: number): void {
    const behind = this.#containing(feed.range, feed.prevKv, next, true);
    if (behind === undefined) return;
    this.#passedOver.add(behind, feed);
    // It may be there already, and nobody has asked.
    behind.progress.nudge();
  }

  /**
   * Takes the watchers of those that were started since a feed was far behind, when it is not any more. Of one that has not begun
   * it is not known whether it is at the same store: whoever is placed on it moves then.
   */
  #takeOver(feed: Feed): void {
    if (!this.#passedOver.has(feed) || feed.state !== 'live') return;
    if (isFarFrom(feed, Number.POSITIVE_INFINITY)) return;
    for (const bridge of this.#passedOver.take(feed)) {
      if (bridge.header === NO_HEADER) {
        this.#passedOver.add(feed, bridge);
        continue;
      }
      if (bridge.state !== 'ended') bridge.cursors.moveTo(feed);
      this.#retire(bridge);
      if (!bridge.used) this.close(bridge);
    }
  }

  /** The feed takes no new users; catch-ups that were to lead to it stand on their own. */
  #retire(feed: Feed): void {
    this.#table.remove(feed);
    this.#passedOver.take(feed);
    for (const other of this.#catchUps.take(feed)) {
      const serves = this.#table.remove(other);
      other.promote();
      if (serves) this.#table.add(other);
    }
  }
}
