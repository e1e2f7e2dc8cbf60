/**
 * The covers, by identity and range, and how many there may be. A cover takes a feed that is there anyway, or has one
 * started within a bound; the ones that were not used for a while are let go.
 */

import type { Identity } from '../clients/identity.ts';
import { PERMISSION_MS, Permission, type Permissions } from '../clients/permission.ts';
import type { Readers } from '../clients/probes.ts';
import { RecentRefusals } from '../clients/recent-refusals.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { WatchHub } from '../watch/hub.ts';
import type { IdentityFeeds } from '../watch/identity-feeds.ts';
import type { SubscribedFeed } from '../watch/subscribers.ts';
import type { CacheEntry } from './cache-entry.ts';
import { Cover, type CoverOwner } from './cover.ts';
import type { CacheStats } from './stats.ts';

/** How often covers that are not used are looked for, in milliseconds. */
const SWEEP_MS = 5000;

/** A range that was not read for so long is let go; the second, when there was no room for another. Milliseconds. */
const IDLE_MS = 60_000;
const FULL_IDLE_MS = 10_000;

/**
 * How long a range is left alone after etcd has ended its feed or refused its client, in milliseconds, and how many ranges
 * are. A yes from before a refusal counts no more when that is over.
 */
const RETRY_MS = PERMISSION_MS;
const MAX_RESTING = 1000;

/** Feeds are not counted for fewer that may be started than this share of the bound: that counts as none. */
const LEAST_ROOM = 1 / 16;

/** What covers stand on, and how many there may be. */
export interface CoversOptions {
  readonly hub: WatchHub;
  readonly permissions: Permissions;
  /** Whom etcd has allowed what, where several share a cover. */
  readonly readers: Readers;
  /** Covers, on whatever feeds. */
  readonly maxCovers: number;
  /** Memory of all of them. */
  readonly maxBytes: number;
  /** Feeds that only covers need. */
  readonly maxFeeds: number;
  readonly stats: CacheStats;
}

/** A cover that is wanted. */
export interface WantedCover {
  readonly feeds: IdentityFeeds;
  readonly range: KeyRange;
  /** It hears every event from this revision on. */
  readonly from: number;
  /** In milliseconds of `performance.now()`. */
  readonly now: number;
  /** Whether several clients share it. */
  readonly isShared: boolean;
}

export class Covers {
  readonly #options: CoversOptions;
  readonly #owner: CoverOwner<CacheEntry>;
  readonly #covers = new Map<string, Cover<CacheEntry>>();
  #bytes = 0;
  /** How many covers each feed has. */
  readonly #feeds = new Map<SubscribedFeed, number>();
  /** Ranges that are left alone, and until when nothing is tried; in the order of that. */
  readonly #resting = new Map<string, number>();
  /** Clients that etcd has refused a range. */
  readonly #refusals = new RecentRefusals();
  /** Clients without a token share it: without auth, everybody may read everything. */
  readonly #anonymous: Permission;
  /** A bound was reached: feeds are not started before the next sweep. */
  #full = false;
  /** Feeds that may be started before they are counted again. */
  #room = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CoversOptions, owner: CoverOwner<CacheEntry>) {
    this.#options = options;
    this.#anonymous = new Permission(options.permissions);
    this.#owner = owner;
  }

  get size(): number {
    return this.#covers.size;
  }

  /** Feeds that only covers need. */
  get feeds(): number {
    let count = 0;
    for (const feed of this.#feeds.keys()) if (this.#isOurs(feed)) count++;
    return count;
  }

  /** Refusals that had to go for others. */
  get forgottenRefusals(): number {
    return this.#refusals.forgotten;
  }

  all(): Iterable<Cover<CacheEntry>> {
    return this.#covers.values();
  }

  find({ identity }: IdentityFeeds, range: KeyRange): Cover<CacheEntry> | undefined {
    return this.#covers.get(idOf(identity, range));
  }

  /** Makes a cover, if the bounds allow for it. */
  make({ feeds, range, from, now, isShared }: WantedCover): Cover<CacheEntry> | undefined {
    const { readers, maxCovers, maxBytes, stats } = this.#options;
    const id = idOf(feeds.identity, range);
    if (now < (this.#resting.get(id) ?? 0)) return this.#none(feeds);
    if (this.#covers.size >= maxCovers || this.#bytes >= maxBytes) {
      stats.limits.covers++;
      this.#full = true;
      return this.#none(feeds);
    }
    const permission = isShared ? undefined : this.#permissionOf(feeds.identity, id);
    const cover = new Cover<CacheEntry>(this.#owner, id, feeds, range, readers, permission, from, now);
    const subscription =
      feeds.subscribe(range, false, from, cover, false) ??
      (this.#mayStart() ? feeds.subscribe(range, false, from, cover) : undefined);
    if (subscription === undefined) {
      stats.limits.feeds++;
      return this.#none(feeds);
    }
    cover.start(subscription);
    this.#covers.set(id, cover);
    this.#bytes += cover.bytes;
    this.#feeds.set(subscription.feed, (this.#feeds.get(subscription.feed) ?? 0) + 1);
    this.#timer ??= setInterval(() => this.#sweep(performance.now()), SWEEP_MS).unref();
    return cover;
  }

  /** No cover: the feeds may have been wanted for it alone. */
  #none(feeds: IdentityFeeds): undefined {
    this.#options.hub.release(feeds);
  }

  /** Lets a cover go. @param rest whether its range is left alone for a while. @returns whether it was there */
  remove(cover: Cover<CacheEntry>, rest: boolean): boolean {
    if (this.#covers.get(cover.id) !== cover) return false;
    this.#covers.delete(cover.id);
    this.#bytes -= cover.bytes;
    if (rest) this.rest(cover.id);
    const left = (this.#feeds.get(cover.feed) ?? 0) - 1;
    if (left > 0) this.#feeds.set(cover.feed, left);
    else this.#feeds.delete(cover.feed);
    cover.stop();
    return true;
  }

  /** etcd refuses a client a range: what it has allowed the client that shares with nobody counts no more. */
  refuse(client: Identity, range: KeyRange, now: number): void {
    const id = idOf(client, range);
    const cover = this.#covers.get(id);
    if (!client.hasToken) this.#anonymous.refuse(now);
    else this.#refusals.add(id, now);
    cover?.permission?.refuse(now);
    if (cover !== undefined) this.#owner.onRefused(cover);
  }

  /** Leaves the range of a cover alone for a while. */
  rest(id: string): void {
    const { limits } = this.#options.stats;
    this.#resting.delete(id);
    this.#resting.set(id, performance.now() + RETRY_MS);
    if (this.#resting.size <= MAX_RESTING) return;
    limits.resting++;
    this.#resting.delete(this.#resting.keys().next().value as string);
  }

  #permissionOf({ hasToken }: Identity, id: string): Permission {
    return hasToken ? new Permission(this.#options.permissions, this.#refusals.of(id)) : this.#anonymous;
  }

  /** To count looks at all feeds, so it is done for many that are started; what clients leave meanwhile is found by the next sweep. */
  #mayStart(): boolean {
    if (!this.#full && this.#room <= 0) this.#count();
    this.#room--;
    return !this.#full;
  }

  #count(): void {
    const { maxFeeds } = this.#options;
    this.#room = maxFeeds - this.feeds;
    this.#full = this.#room < Math.max(1, maxFeeds * LEAST_ROOM);
  }

  #isOurs(feed: SubscribedFeed): boolean {
    return feed.cursors.size === 0 && feed.subscribers.size === this.#feeds.get(feed);
  }

  /** Lets go what is not used, and what clients have left to the cache beyond the bound of feeds. */
  #sweep(now: number): void {
    const idle = now - (this.#full ? FULL_IDLE_MS : IDLE_MS);
    for (const cover of this.#covers.values()) if (cover.usedAt < idle) this.#owner.onUnused(cover);
    let excess = this.feeds - this.#options.maxFeeds;
    if (excess > 0) {
      const oldest = [...this.#covers.values()].sort((a, b) => a.usedAt - b.usedAt);
      for (const cover of oldest) {
        if (excess <= 0) break;
        if (!cover.alive || !this.#isOurs(cover.feed)) continue;
        if (this.#feeds.get(cover.feed) === 1) excess--;
        this.#owner.onUnused(cover);
      }
    }
    for (const [id, until] of this.#resting) if (until <= now) this.#resting.delete(id);
    this.#count();
    if (this.#covers.size > 0 || this.#resting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function idOf(identity: Identity, range: KeyRange): string {
  return identity.id + range.id;
}
