/**
 * START HERE. The watch hub: N watchers of clients, few watches on etcd.
 *
 *   client stream ─ Watcher ┐                       ┌ index: newest batch to the watchers it is for
 *   client stream ─ Watcher ┼─▶ Feed (range, A) ────┤
 *   client stream ─ Watcher ┘     │                 └ history: batches for the watchers behind
 *                                 ▼
 *                           UpstreamWatch ─▶ etcd
 *
 * The hub knows the feeds by identity, and what all feeds share.
 *
 *   IdentityFeeds       the feeds of one identity: which of them serves a watcher, or whether one is started
 *     RevisionProbes      where a watch starts, and whether the client may watch
 *     FeedTable           the feeds by range
 *     Feed                one watch on etcd
 *       FeedStream          its stream, opened again when it is lost; Turns: few catch-ups begin at a time
 *         UpstreamWatch     one stream; Versions: what progress responses of the member are worth
 *       History ─ Batch     what it remembers; HistoryBudget: the bound that all histories share
 *       Cursors             its watchers: those that keep up in a WatcherIndex of Audiences, the others behind
 *       Subscribers         what lives on it and is no client's watcher; SyncPoint: from where on that misses nothing
 *       ProgressQuestions   asks etcd how far it is
 *     LeaderDetector      tells clients that want a leader when it is lost
 *   Lingering           feeds that nobody uses now
 *   KeyRanges, LongKeys what clients name: in memory once, and within bounds
 *
 * The streams of clients are in `services/watch.ts`.
 */

import type { Identity } from '../clients/identity.ts';
import { KeyRanges } from '../etcd/key-ranges.ts';
import type { Upstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { FragmentLimit } from './fragments.ts';
import { HistoryBudget } from './history.ts';
import { IdentityFeeds } from './identity-feeds.ts';
import { Lingering } from './lingering.ts';
import { LongKeys } from './long-keys.ts';
import { ProgressInterval } from './progress-interval.ts';
import { WatchStats } from './stats.ts';
import { Turns } from './turns.ts';

export interface WatchHubOptions {
  readonly upstream: Upstream;
  /** Bytes of all histories together. */
  readonly historyBytes: number;
  /** Revisions in the history of one feed. */
  readonly historyRevisions: number;
  /** Milliseconds for which a feed without watchers stays. */
  readonly linger: number;
}

/** Catch-ups that may wait for etcd's first answer at a time, and for how long, in milliseconds; others wait for that. */
const CATCH_UPS_AT_ONCE = 32;
const CATCH_UP_TURN_MS = 1000;

/** The same for watches that are put to etcd only to be refused. */
const RELAYS_AT_ONCE = 64;
const RELAY_TURN_MS = 5000;

/** How long one call of the hub's own may take, in milliseconds. */
const CALL_MS = 5000;

export class WatchHub {
  readonly options: WatchHubOptions;
  readonly stats = new WatchStats();
  readonly ranges = new KeyRanges();
  readonly fragments = new FragmentLimit();
  readonly budget: HistoryBudget;
  readonly interval: ProgressInterval;
  readonly turns = new Turns(CATCH_UPS_AT_ONCE, CATCH_UP_TURN_MS);
  readonly relays = new Turns(RELAYS_AT_ONCE, RELAY_TURN_MS);
  readonly longKeys = new LongKeys();
  readonly lingering: Lingering;
  readonly #identities = new Map<string, IdentityFeeds>();

  constructor(options: WatchHubOptions) {
    this.options = options;
    this.budget = new HistoryBudget(options.historyBytes);
    this.interval = new ProgressInterval((now, ms) => this.#tick(now, ms));
    this.interval.start();
    this.lingering = new Lingering(options.linger, () => this.stats.limits.lingering++);
  }

  /** The feeds of an identity. */
  feedsOf(identity: Identity): IdentityFeeds {
    let feeds = this.#identities.get(identity.id);
    if (feeds === undefined) {
      feeds = new IdentityFeeds(this, identity);
      this.#identities.set(identity.id, feeds);
    }
    return feeds;
  }

  /** Forgets an identity that nothing is left of. */
  released(feeds: IdentityFeeds): void {
    if (feeds.idle && this.#identities.get(feeds.identity.id) === feeds)
      this.#identities.delete(feeds.identity.id);
  }

  /** Every feed of every identity. */
  *feeds(): Iterable<import('./feed.ts').Feed> {
    for (const identity of this.#identities.values()) yield* identity.feeds();
  }

  /** Makes a call of the hub's own, which ends in time. */
  async unary(method: Method, metadata: Metadata, request: Uint8Array): Promise<Uint8Array> {
    const call = new OwnCall(method, metadata, performance.now() + CALL_MS);
    return call.inTime(this.options.upstream.unary(request, call));
  }

  /** Ends every feed. Client streams are ended by whoever serves them. */
  close(): void {
    this.interval.stop();
    for (const identity of [...this.#identities.values()]) identity.close();
  }

  #tick(now: number, ms: number): void {
    for (const feed of this.feeds()) if (now - feed.tickedAt > ms) feed.tick(now);
  }
}
