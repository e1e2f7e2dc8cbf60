/**
 * START HERE. The validated cache: answers serializable reads of the present from memory, as long as a feed of the
 * watch hub proves that nothing has changed.
 *
 *   read ─▶ CacheEntry (reply, revision R)          usable while all of this holds:
 *             └ Cover (a range)                  no event of the range came after R
 *                 ├ Feed ─ applied, syncPoint    max(R, applied) >= syncPoint, and >= SeenRevision
 *                 └ Permission                   etcd has allowed the client to read the range lately
 *
 * A reply is given with the revision that clients have seen in its header, if that is later than R: its data are the
 * state at every revision from R to `applied`. It is never given a revision up to which the feed has not come: a
 * client that watches from there on would lose events. `docs/consistency.md` has the whole story.
 *
 *   EntryStore    the entries, within the bound of bytes
 *   Covers        the covers, and how many feeds they may take
 *   RecentReads   what was read a short time ago, and is worth remembering if it is read again
 *   kindOf        which requests are remembered at all
 */

import {
  ANONYMOUS,
  callIdentityOf,
  clientIdentityOf,
  demandsLeader,
  type Identity,
} from '../clients/identity.ts';
import type { Permissions } from '../clients/permission.ts';
import type { SeenRevision } from '../clients/seen-revision.ts';
import { latin1 } from '../etcd/latin1.ts';
import { Kind, kindOf, rangeOf } from '../etcd/range-kind.ts';
import type { Call, UnaryUpstream } from '../rpc/contract.ts';
import { NO_METADATA } from '../rpc/metadata.ts';
import type { WatchHub } from '../watch/hub.ts';
import { CacheEntry } from './cache-entry.ts';
import type { Cover, CoverOwner } from './cover.ts';
import { Covers, type WantedCover } from './covers.ts';
import { EntryStore } from './entry-store.ts';
import type { Fill } from './fill.ts';
import { ForwardedReads } from './forwarded-reads.ts';
import { parseReply } from './parsed-reply.ts';
import { RecentReads } from './recent-reads.ts';
import { keysOf, Scopes } from './scopes.ts';
import { CacheStats, type Miss } from './stats.ts';

/** What the cache stands on, and its bounds. */
export interface ReadCacheOptions {
  readonly hub: WatchHub;
  readonly permissions: Permissions;
  readonly seen: Pick<SeenRevision, 'revision' | 'onReplaced'>;
  /** Memory of everything that is remembered, in bytes. */
  readonly maxBytes: number;
  /** Feeds that only the cache needs. */
  readonly maxFeeds: number;
}

/** Real requests are far smaller. Bytes of a request and its metadata. */
const MAX_KEY_BYTES = 8192;

/** No entry is larger than this part of the whole. */
const ENTRY_SHARE = 1 / 8;

/** A cover for each so many bytes of the whole: ranges without entries do not take all of it. */
const BYTES_PER_COVER = 2048;

/** Nor do those of long keys take more than this part of it. */
const COVER_SHARE = 1 / 2;

export class ReadCache implements UnaryUpstream, CoverOwner<CacheEntry> {
  readonly stats = new CacheStats();
  readonly #below: UnaryUpstream;
  readonly #seen: ReadCacheOptions['seen'];
  readonly #hub: WatchHub;
  readonly #scopes: Scopes;
  readonly #covers: Covers;
  readonly #forwarding: ForwardedReads;
  readonly #store: EntryStore;
  readonly #maxEntryBytes: number;
  readonly #recent = new RecentReads();
  /** The keys of reads on their way whose answer will be remembered. */
  readonly #filling = new Set<string>();

  constructor(below: UnaryUpstream, { hub, permissions, seen, maxBytes, maxFeeds }: ReadCacheOptions) {
    const { stats } = this;
    this.#below = below;
    this.#seen = seen;
    this.#maxEntryBytes = maxBytes * ENTRY_SHARE;
    this.#store = new EntryStore(maxBytes, (entry) => this.#evicted(entry));
    this.#hub = hub;
    this.#scopes = new Scopes(hub, permissions);
    this.#covers = new Covers(
      {
        hub,
        permissions,
        readers: this.#scopes.readers,
        maxCovers: Math.floor(maxBytes / BYTES_PER_COVER),
        maxBytes: maxBytes * COVER_SHARE,
        maxFeeds,
        stats,
      },
      this,
    );
    this.#forwarding = new ForwardedReads(below, this.#scopes.readers, this.#covers);
    seen.onReplaced(() => this.#forgetAll());
  }

  /** Answers that are remembered. */
  get entries(): number {
    return this.#store.size;
  }

  /** Ranges that are watched for them. */
  get covers(): number {
    return this.#covers.size;
  }

  /** Feeds that only the cache needs. */
  get feeds(): number {
    return this.#covers.feeds;
  }

  /** Clients of which etcd has to be asked again, since too many share what is remembered. */
  get forgottenReaders(): number {
    return this.#scopes.readers.forgotten + this.#covers.forgottenRefusals;
  }

  /** Memory of all that is remembered. */
  get bytes(): number {
    return this.#store.bytes;
  }

  unary(request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const kind = kindOf(request);
    if (kind === Kind.other) return this.#below.unary(request, call);
    if (kind === Kind.unfit) return this.#forward('unfit', request, call);
    const identity = callIdentityOf(call.metadata, MAX_KEY_BYTES);
    if (identity === undefined || identity.length + request.length > MAX_KEY_BYTES) {
      this.stats.limits.key_bytes++;
      return this.#forward('unfit', request, call);
    }
    const bytes = latin1(request);
    const sharer = identity === ANONYMOUS ? undefined : this.#scopes.of(call.metadata);
    const ownKey = identity === ANONYMOUS ? bytes : identity + bytes;
    const keys = sharer && keysOf(sharer, bytes, ownKey);
    const key = keys?.[0] ?? ownKey;
    const now = performance.now();
    const entry = keys === undefined ? this.#store.get(key) : this.#store.first(keys);
    const miss = entry === undefined ? 'unknown' : this.#judge(entry, now, sharer?.reader.identity);
    if (entry !== undefined && miss === undefined) return this.#hit(entry, now);
    this.stats.misses[miss as Miss]++;
    if (miss === 'seen' || miss === 'behind') entry?.cover.catchUp();
    const worthIt = entry !== undefined || this.#isHot(key, call, now);
    // What fills the entry for another client gives no permission to this one.
    const wantsPermission = miss === 'permission' && sharer !== undefined;
    if (!worthIt || (this.#filling.has(key) && !wantsPermission))
      return this.#forwarding.ask(sharer, request, call);
    return this.#fill({ key, ownKey, sharer, request, call, askedAt: now });
  }

  /** All permissions were withdrawn. */
  onWithdrawn(): void {
    this.stats.cleared++;
  }

  onChanged(entry: CacheEntry): void {
    this.stats.changed++;
    this.#drop(entry);
  }

  onEnded(cover: Cover<CacheEntry>): void {
    if (cover.isForbidden && cover.permission === undefined)
      this.#scopes.forbid(cover.range, performance.now());
    this.#forget(cover, true);
  }

  onUnused(cover: Cover<CacheEntry>): void {
    this.#forget(cover, false);
  }

  /** Answers to what was asked before may come later, and find no cover to be remembered in. */
  onRefused({ id, feeds, range, permission }: Cover<CacheEntry>): void {
    const cover = this.#covers.find(feeds, range);
    if (cover !== undefined) this.#forget(cover, false);
    // Who shows a token has a permission for each range: of theirs there may be many, and nothing is to be looked for.
    if (!feeds.identity.hasToken)
      for (const other of this.#covers.all()) if (other.permission === permission) this.#forget(other, false);
    this.#covers.rest(id);
  }

  /** Why an entry may not be used now; `undefined` when it may. */
  #judge({ revision, cover }: CacheEntry, now: number, client: Identity | undefined): Miss | undefined {
    const { applied, syncPoint } = cover.feed;
    const known = revision > applied ? revision : applied;
    if (known < syncPoint) return 'behind';
    if (known < this.#seen.revision) return 'seen';
    return cover.mayRead(now, client) ? undefined : 'permission';
  }

  #hit(entry: CacheEntry, now: number): Uint8Array {
    this.stats.hits++;
    entry.usedAt = now;
    entry.cover.usedAt = now;
    const seen = this.#seen.revision;
    if (seen > entry.revision) this.stats.stamps++;
    return entry.at(seen);
  }

  #forward(miss: Miss, request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    this.stats.misses[miss]++;
    return this.#below.unary(request, call);
  }

  /** Whether it was read a short time ago. Without a leader, etcd refuses a read that demands one: never remembered. */
  #isHot(key: string, { metadata }: Call, now: number): boolean {
    return this.#recent.again(key, now) && !demandsLeader(metadata);
  }

  /** Asks etcd, and remembers what it says. */
  #fill(fill: Fill): Uint8Array | Promise<Uint8Array> {
    const reply = this.#forwarding.ask(fill.sharer, fill.request, fill.call);
    if (!(reply instanceof Promise)) return reply;
    this.#filling.add(fill.key);
    return reply.then(
      (message) => {
        this.#filling.delete(fill.key);
        this.#learn(fill, message);
        return message;
      },
      (error: unknown) => {
        this.#filling.delete(fill.key);
        throw error;
      },
    );
  }

  #learn({ ownKey, sharer, request, call, askedAt }: Fill, message: Uint8Array): void {
    if (call.responseHeaders !== NO_METADATA || call.responseTrailers !== NO_METADATA) return;
    const reply = parseReply(message);
    const range = rangeOf(request);
    if (reply === undefined || range === undefined) return;
    const now = performance.now();
    const scope = sharer && this.#scopes.choose(sharer, range, now);
    if (scope === 'later') return;
    const key = scope === undefined ? ownKey : scope.prefix + latin1(request);
    const client = clientIdentityOf(call.metadata);
    const feeds = scope?.feeds() ?? this.#hub.feedsOf(client);
    const from = reply.header.revision + 1;
    const cover = this.#coverOf({ feeds, range, from, now, isShared: scope !== undefined });
    if (cover === undefined) return;
    cover.grant(askedAt, client);
    cover.usedAt = now;
    if (!cover.vouchesFor(reply)) return;
    const old = this.#store.get(key);
    if (old !== undefined && old.revision >= reply.header.revision) return;
    const entry = new CacheEntry(key, cover, reply, now);
    if (entry.bytes > this.#maxEntryBytes) {
      this.stats.limits.entry_bytes++;
      return;
    }
    if (old !== undefined) this.#drop(old);
    this.stats.fills++;
    cover.entries.add(entry);
    this.#store.add(entry);
  }

  #coverOf(wanted: WantedCover): Cover<CacheEntry> | undefined {
    const found = this.#covers.find(wanted.feeds, wanted.range);
    if (found !== undefined) return found;
    const cover = this.#covers.make(wanted);
    if (cover !== undefined) this.#store.hold(cover.bytes);
    return cover;
  }

  #evicted(entry: CacheEntry): void {
    this.stats.evicted++;
    const { cover } = entry;
    cover.entries.delete(entry);
    if (cover.entries.size === 0) this.#forget(cover, false);
  }

  #drop(entry: CacheEntry): void {
    this.#store.remove(entry);
    entry.cover.entries.delete(entry);
  }

  /** Drops a cover and its entries. @param rest whether its range is left alone for a while */
  #forget(cover: Cover<CacheEntry>, rest: boolean): void {
    for (const entry of cover.entries) this.#store.remove(entry);
    cover.entries.clear();
    if (this.#covers.remove(cover, rest)) this.#store.hold(-cover.bytes);
  }

  #forgetAll(): void {
    this.stats.cleared++;
    for (const cover of this.#covers.all()) this.#forget(cover, false);
  }
}
