/**
 * What keeps the entries of a range true: a subscription to a feed. The cover knows the latest event of the range, and
 * drops the entries that are from before it. It outlives them, so that a range that changes often is not watched
 * anew each time.
 */

import type { Identity } from '../clients/identity.ts';
import type { Permission } from '../clients/permission.ts';
import type { Asker, ProbeResult } from '../clients/probe.ts';
import type { Readers } from '../clients/probes.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { isRefusal } from '../etcd/statuses.ts';
import type { Batch } from '../watch/batch.ts';
import type { IdentityFeeds } from '../watch/identity-feeds.ts';
import type { FeedSubscriber, SubscribedFeed, Subscription, SubscriptionEnd } from '../watch/subscribers.ts';
import type { ParsedReply } from './parsed-reply.ts';

/** What a cover costs beside its range, its entries and its feed. Measured, in bytes. */
const COVER_BYTES = 800;

/** Copies of a range's keys that a cover and its place in the feed hold. */
const RANGE_COPIES = 4;

/** What a cover keeps true. */
export interface Covered {
  /** It is the state of the range at this revision. */
  readonly revision: number;
}

/** Hears what becomes of a cover. */
export interface CoverOwner<E extends Covered> {
  /** An entry is not true any more. */
  onChanged(entry: E): void;
  /** The cover's feed is over. */
  onEnded(cover: Cover<E>): void;
  /** It was not used for long, or its feed is too much. */
  onUnused(cover: Cover<E>): void;
  /** etcd refuses the client. */
  onRefused(cover: Cover<E>): void;
}

export class Cover<E extends Covered> implements FeedSubscriber, Asker {
  /** It asks whether its range may be read now, and about no revision. */
  readonly askedStart = 0;
  /** Identity and range. */
  readonly id: string;
  readonly feeds: IdentityFeeds;
  readonly range: KeyRange;
  /** That of the one client whose answers are remembered; `undefined`: several share them. */
  readonly permission: Permission | undefined;
  /** etcd does not let its feeds watch the range. */
  isForbidden = false;
  readonly entries = new Set<E>();
  /** What it stands for in memory. */
  readonly bytes: number;
  /** When one of its entries was used last, in milliseconds of `performance.now()`. */
  usedAt: number;
  /** Whether it hears events; otherwise it vouches for nothing any more. */
  alive = false;
  #subscription: Subscription | undefined;
  /** Every event of the range from this revision on is heard. */
  readonly #from: number;
  /** The revision of the latest event. */
  #last = 0;
  readonly #owner: CoverOwner<E>;
  readonly #readers: Readers;

  /** @param readers whom etcd has allowed what, where several share it */
  constructor(
    owner: CoverOwner<E>,
    id: string,
    feeds: IdentityFeeds,
    range: KeyRange,
    readers: Readers,
    permission: Permission | undefined,
    from: number,
    now: number,
  ) {
    this.#owner = owner;
    this.id = id;
    this.feeds = feeds;
    this.range = range;
    this.permission = permission;
    this.#readers = readers;
    this.#from = from;
    this.usedAt = now;
    this.bytes = COVER_BYTES + RANGE_COPIES * (range.start.length + range.end.length) + id.length;
  }

  /** What brings the events, once it is {@link start}ed. */
  get feed(): SubscribedFeed {
    return (this.#subscription as Subscription).feed;
  }

  /** It hears events from now on. */
  start(subscription: Subscription): void {
    this.#subscription = subscription;
    this.alive = true;
  }

  /** It hears no more. */
  stop(): void {
    if (this.alive) this.feed.unsubscribe(this.#subscription as Subscription);
    this.alive = false;
  }

  /** Whether a reply is the state of the range up to now, as far as the feed has come, and stays so until an event. */
  vouchesFor({ header }: ParsedReply): boolean {
    if (!this.alive || this.feed.header.cluster !== header.cluster) return false;
    const { revision } = header;
    return revision >= this.#last && revision + 1 >= this.#from && revision >= this.feed.undoneUpTo;
  }

  /** Whether a client may read, as etcd has said lately. Asks again when that will soon be too long ago. */
  mayRead(now: number, client: Identity | undefined): boolean {
    const { permission } = this;
    if (permission === undefined)
      return client !== undefined && this.#readers.of(client, this.range).mayRead(now);
    if (!permission.has(now)) return false;
    if (permission.isDue(now)) {
      permission.onAsked(now);
      this.feeds.probe(this.range, this);
    }
    return true;
  }

  /** etcd has allowed a client what it was asked at a time. */
  grant(askedAt: number, client: Identity): void {
    if (this.permission === undefined) this.#readers.of(client, this.range).grant(askedAt);
    else this.permission.grant(askedAt);
  }

  onProbed({ kind }: ProbeResult): void {
    const allowed = kind === 'failed' ? undefined : kind === 'ok';
    this.permission?.onAnswered(allowed, performance.now());
    if (allowed === false) this.#owner.onRefused(this);
  }

  /** Asks etcd how far it is, where one answer tells that for many entries or nothing else would. */
  catchUp(): void {
    const { feed } = this;
    if (feed.subscribers.size > 1 || feed.syncPoint === Number.POSITIVE_INFINITY) feed.progress.nudge();
  }

  onBatch(_batch: Batch, last: number): void {
    if (last <= this.#last) return;
    this.#last = last;
    for (const entry of this.entries) if (entry.revision < last) this.#owner.onChanged(entry);
  }

  /** What is beyond the member, or beyond which the feed has come, may be of a past that a backup has undone. */
  onBegan(revision: number): void {
    const undone = this.feed.undoneUpTo > revision;
    for (const entry of this.entries) if (undone || entry.revision > revision) this.#owner.onChanged(entry);
  }

  onEnd(end: SubscriptionEnd): void {
    this.alive = false;
    this.isForbidden = end.kind === 'canceled' || (end.kind === 'status' && isRefusal(end.status));
    this.#owner.onEnded(this);
  }
}
