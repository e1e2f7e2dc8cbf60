/**
 * The feeds of one identity, and which of them serves a watcher: one whose range contains the watcher's and which
 * still knows the revision that it needs next. Where there is none, a feed is started. If another feed covers the
 * range but has forgotten that revision, the new one is a catch-up: its watchers move over as soon as they fit.
 */

import type { Identity } from '../clients/identity.ts';
import type { Asker } from '../clients/probe.ts';
import { RevisionProbes } from '../clients/revision-probes.ts';
import { type Header, NO_HEADER } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { KV, Maintenance, Watch } from '../etcd/methods.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code } from '../rpc/status.ts';
import { Feed } from './feed.ts';
import type { FeedContext } from './feed-context.ts';
import { FeedTable } from './feed-table.ts';
import type { FragmentLimit } from './fragments.ts';
import type { HistoryBudget } from './history.ts';
import type { WatchHub } from './hub.ts';
import { LeaderDetector } from './leader-detector.ts';
import type { LongKeys } from './long-keys.ts';
import type { ProgressInterval } from './progress-interval.ts';
import type { WatchStats } from './stats.ts';
import type { FeedSubscriber, Subscription } from './subscribers.ts';
import type { Turns } from './turns.ts';
import { UpstreamWatch, type UpstreamWatchOwner, type UpstreamWatchRequest } from './upstream-watch.ts';
import { Versions } from './versions.ts';
import type { Watcher, WatchSink } from './watcher.ts';

/** Catch-ups for watchers whose clients did not keep up; one more ends its stream. */
const MAX_LAGGING_CATCH_UPS = 64;

/** Copies of a token that an identity holds, as it is and encoded, and of keys that a feed does. */
const TOKEN_COPIES = 3;
const RANGE_COPIES = 2;

export class IdentityFeeds implements FeedContext {
  readonly identity: Identity;
  readonly budget: HistoryBudget;
  readonly maxRevisions: number;
  readonly stats: WatchStats;
  readonly fragments: FragmentLimit;
  readonly interval: ProgressInterval;
  readonly turns: Turns;
  /** Those of watches that etcd is to refuse. */
  readonly relays: Turns;
  readonly longKeys: LongKeys;
  readonly versions: Versions;
  readonly #streams = new Set<WatchSink>();
  readonly #leader: LeaderDetector;
  readonly #hub: WatchHub;
  /** All of them, also those that serve nobody new. */
  readonly #feeds = new Set<Feed>();
  readonly #table = new FeedTable();
  readonly #probes: RevisionProbes;
  readonly #closeFeed = (feed: Feed): void => this.#close(feed);

  constructor(hub: WatchHub, identity: Identity) {
    this.#hub = hub;
    this.identity = identity;
    this.budget = hub.budget;
    this.maxRevisions = hub.options.historyRevisions;
    this.stats = hub.stats;
    this.fragments = hub.fragments;
    this.interval = hub.interval;
    this.turns = hub.turns;
    this.relays = hub.relays;
    this.longKeys = hub.longKeys;
    const { upstream } = hub.options;
    this.#leader = new LeaderDetector((listener) =>
      upstream.stream(new OwnCall(Watch.Watch, identity.metadata, Number.POSITIVE_INFINITY), listener),
    );
    this.#probes = new RevisionProbes(identity, (request) => hub.unary(KV.Range, identity.metadata, request));
    this.versions = new Versions(() => hub.unary(Maintenance.Status, identity.metadata, new Uint8Array(0)));
  }

  /** All feeds, also those that have ended and still have readers of their history. */
  feeds(): Iterable<Feed> {
    return this.#feeds;
  }

  /** Whether nothing is left of this identity. */
  get idle(): boolean {
    return this.#streams.size === 0 && this.#feeds.size === 0;
  }

  /** A client's stream begins. */
  enter(sink: WatchSink): void {
    this.#streams.add(sink);
    if (this.identity.hasLeader) this.#leader.add(sink);
  }

  /** It is over, and its watchers are gone. */
  leave(sink: WatchSink): void {
    this.#streams.delete(sink);
    this.#leader.remove(sink);
    this.#hub.released(this);
  }

  probe(range: KeyRange, asker: Asker): void {
    this.#probes.ask(range, asker);
  }

  /** Asks for etcd's revision on behalf of nothing that is watched. */
  probeAny(asker: Asker): void {
    this.#probes.askAny(asker);
  }

  /**
   * The feed that would serve a watcher from its history, if any.
   * @param header what etcd says of itself now
   */
  find(range: KeyRange, prevKv: boolean, next: number, header: Header): Feed | undefined {
    let found: Feed | undefined;
    for (const feed of this.#table.covering(range, prevKv)) {
      if (feed.range.id === range.id) feed.startFrom(next);
      if (!feed.serves(next) || !feed.knows(header)) continue;
      if (feed.target === undefined && feed.prevKv === prevKv) return feed;
      if (found === undefined || found.target !== undefined) found = feed;
    }
    return found;
  }

  /** Whether a feed would serve a revision, so that etcd itself would not be asked for it. */
  remembers(range: KeyRange, prevKv: boolean, start: number): boolean {
    for (const feed of this.#table.covering(range, prevKv)) if (feed.serves(start)) return true;
    return false;
  }

  place(watcher: Watcher, header: Header, anew = false): void {
    const { range, next, options } = watcher;
    let feed = this.find(range, options.prevKv, next, header);
    if (feed === undefined || next < 1 || (anew && feed.state !== 'gathering')) {
      const target = next < 1 ? undefined : this.#containing(range, options.prevKv);
      // What is not known to be there yet is not watched from: the feed would seem to know everything before it.
      const now = header === NO_HEADER ? next : header.revision + 1;
      feed = this.#start(range, options.prevKv, Math.min(now, next), target, next < now);
    }
    feed.cursors.attach(watcher);
  }

  replace(watcher: Watcher): void {
    const { feed, range, options } = watcher;
    const header = feed?.header ?? NO_HEADER;
    feed?.cursors.detach(watcher);
    const served = this.find(range, options.prevKv, watcher.next, header) !== undefined;
    if (!served && this.stats.catchUps >= MAX_LAGGING_CATCH_UPS) {
      this.stats.evicted++;
      watcher.sink.fail(Code.UNAVAILABLE, 'etcd-connect-proxy: the client reads its watches too slowly');
    } else {
      watcher.fresh = true;
      this.place(watcher, header);
    }
    if (feed !== undefined && !feed.used) this.unused(feed);
  }

  /** Takes a watcher off its feed for good. */
  remove(watcher: Watcher): void {
    const { feed } = watcher;
    if (feed === undefined) return;
    feed.cursors.detach(watcher);
    if (!feed.used) this.unused(feed);
    else feed.flow();
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
    start = true,
  ): Subscription | undefined {
    let feed: Feed | undefined;
    for (const candidate of this.#table.covering(range, prevKv)) {
      if (candidate.target !== undefined || !candidate.serves(next)) continue;
      feed = candidate;
      if (feed.state === 'live') break;
    }
    if (feed === undefined && start) feed = this.#start(range, prevKv, next, undefined, false);
    if (feed === undefined) return undefined;
    this.used(feed);
    return feed.subscribers.add(range, next, subscriber);
  }

  /** Ends a subscription; nothing happens when it is over already. */
  unsubscribe(subscription: Subscription): void {
    const { feed } = subscription;
    if (!feed.subscribers.remove(subscription)) return;
    if (!feed.used) this.unused(feed);
    else feed.flow();
  }

  openWatch(request: UpstreamWatchRequest, owner: UpstreamWatchOwner): UpstreamWatch {
    const { upstream } = this.#hub.options;
    return new UpstreamWatch(upstream, Watch.Watch, this.identity.metadata, request, owner);
  }

  ended(feed: Feed): void {
    this.#forget(feed);
    if (!feed.used) this.unused(feed);
  }

  used(feed: Feed): void {
    this.#hub.lingering.used(feed);
  }

  unused(feed: Feed): void {
    if (!this.#feeds.has(feed)) return;
    const bytes = RANGE_COPIES * feed.range.bytes + TOKEN_COPIES * this.identity.bytes;
    this.#hub.lingering.unused(feed, bytes, this.#closeFeed);
  }

  /** Ends every feed. */
  close(): void {
    for (const feed of [...this.#feeds]) this.#close(feed);
  }

  #start(range: KeyRange, prevKv: boolean, start: number, target: Feed | undefined, past: boolean): Feed {
    const feed = new Feed(this, range, prevKv, Math.min(start, Number.MAX_SAFE_INTEGER), target, past);
    this.#feeds.add(feed);
    this.stats.feeds++;
    if (target !== undefined) this.stats.catchUps++;
    // What etcd makes of a revision below the first is its own affair, and nobody else's.
    if (start >= 1) this.#table.add(feed);
    return feed;
  }

  #close(feed: Feed): void {
    if (!this.#feeds.delete(feed)) return;
    this.used(feed);
    this.#forget(feed);
    feed.close();
    this.stats.feeds--;
    if (feed.target !== undefined) this.stats.catchUps--;
    feed.target = undefined;
    this.#hub.released(this);
  }

  /** Serves nobody new; catch-ups that were to lead to it stand on their own. */
  #forget(feed: Feed): void {
    this.#table.remove(feed);
    if (this.stats.catchUps === 0) return;
    for (const other of this.#feeds) {
      if (other.target !== feed) continue;
      this.stats.catchUps--;
      other.promote();
    }
  }

  /** A feed that new events of the range come from. */
  #containing(range: KeyRange, prevKv: boolean): Feed | undefined {
    for (const feed of this.#table.covering(range, prevKv))
      if (feed.state !== 'ended' && feed.target === undefined) return feed;
    return undefined;
  }
}
