/** The feeds of one identity, or those that several share: what clients' streams and subscribers call. */

import type { Identity } from '../clients/identity.ts';
import type { Asker } from '../clients/probe.ts';
import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { Beginning } from './beginnings.ts';
import type { Feed } from './feed.ts';
import { FeedPlacement, type WantedFeed } from './feed-placement.ts';
import { IdentityUpstream } from './identity-upstream.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import type { Sponsor } from './sharing/sponsor.ts';
import type { FeedSubscriber, Subscription } from './subscribers.ts';
import type { Watcher, WatchSink } from './watcher.ts';

export class IdentityFeeds {
  readonly etcd: IdentityUpstream;
  readonly shared: SharedFeeds;
  readonly #placement: FeedPlacement;
  readonly #streams = new Set<WatchSink>();
  readonly #onIdle: (feeds: IdentityFeeds) => void;

  /** @param onIdle is called whenever nothing may be left of this identity */
  constructor(shared: SharedFeeds, sponsor: Sponsor, onIdle: (feeds: IdentityFeeds) => void) {
    this.shared = shared;
    this.#onIdle = onIdle;
    this.etcd = new IdentityUpstream(shared, sponsor);
    this.#placement = new FeedPlacement(shared, this.etcd, () => onIdle(this));
  }

  get identity(): Identity {
    return this.etcd.identity;
  }

  /** All feeds, also those that have ended and still have readers of their history. */
  get feeds(): ReadonlySet<Feed> {
    return this.#placement.feeds;
  }

  /** Whether nothing is left of this identity. */
  get idle(): boolean {
    return this.#streams.size === 0 && this.feeds.size === 0;
  }

  /** A client's stream begins. */
  enter(sink: WatchSink): void {
    this.#streams.add(sink);
  }

  /** It is over, and its watchers are gone. */
  leave(sink: WatchSink): void {
    this.#streams.delete(sink);
    this.#onIdle(this);
  }

  /** See {@link IdentityUpstream.probe}. */
  probe(range: KeyRange, asker: Asker): void {
    this.etcd.probe(range, asker);
  }

  /** See {@link FeedPlacement.remembers}. */
  remembers(range: KeyRange, prevKv: boolean, start: number): boolean {
    return this.#placement.remembers(range, prevKv, start);
  }

  /** See {@link FeedPlacement.carries}. */
  carries(wanted: WantedFeed, header: Header): boolean {
    return this.#placement.carries(wanted, header);
  }

  /** See {@link FeedPlacement.begin}. */
  begin(range: KeyRange, prevKv: boolean): Beginning | undefined {
    return this.#placement.begin(range, prevKv);
  }

  /** See {@link FeedPlacement.place}. */
  place(watcher: Watcher, header: Header, maybeCompacted: boolean): void {
    this.#placement.place(watcher, header, maybeCompacted);
  }

  /** See {@link FeedPlacement.subscribe}. */
  subscribe(
    range: KeyRange,
    prevKv: boolean,
    next: number,
    subscriber: FeedSubscriber,
    start = true,
  ): Subscription | undefined {
    return this.#placement.subscribe(range, prevKv, next, subscriber, start);
  }

  /** Ends every feed. */
  close(): void {
    this.#placement.closeAll();
  }
}
