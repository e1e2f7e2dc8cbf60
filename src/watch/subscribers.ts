/**
 * What lives on a feed and is no client's watcher: a cache that wants to know which of its entries are still true, a
 * mirror of a prefix. A subscriber takes every batch at once and never lags, so a feed that has one never stops
 * reading etcd: watchers that do not keep up fall out of its bounded history instead.
 */

import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { Batch, BatchEvent } from './batch.ts';
import type { FeedStreamState } from './feed-stream.ts';
import type { History } from './history.ts';
import { RangeMap } from './range-map.ts';
import { STEP_VISITS, type Steps } from './slices.ts';
import type { Terminal } from './terminal.ts';

/** Hears from a feed. It must not subscribe while it is called, nor unsubscribe, {@link onMoved} and {@link onEnd} apart. */
export interface FeedSubscriber {
  /**
   * A batch with events in the range, before any watcher gets it and before the feed's applied revision moves. It may
   * also hold events outside of the range, or before the revision that was subscribed from.
   * @param last the revision of its last event in the range
   */
  onBatch(batch: Batch, last: number): void;
  /** The same of a huge batch, in slices; without it, {@link onBatch} is called. The subscription may end meanwhile. */
  inSlices?(batch: Batch): Steps;
  /**
   * The feed's applied revision, sync point or state may have changed, with a batch or without one. Only for
   * subscribers that wait for something: it costs a call for each.
   */
  onMoved?(): void;
  /** A stream of the feed begins, on a member that is at this revision. */
  onBegan?(revision: number): void;
  /**
   * The feed is over, and the subscription with it: etcd ended the watch, or it is `replaced` by another cluster. What
   * the subscriber knows is not kept true any more.
   */
  onEnd(terminal: SubscriptionEnd): void;
}

/** Why a subscription ended. */
export type SubscriptionEnd = Terminal | { readonly kind: 'replaced'; readonly header: Header };

/** A feed, as its subscribers see it. */
export interface SubscribedFeed {
  /** Everything up to here has been seen. */
  readonly applied: number;
  /** etcd's latest header on it. */
  readonly header: Header;
  readonly state: FeedStreamState;
  /** From this revision on a subscriber that knows its range misses nothing but what is on its way. */
  readonly syncPoint: number;
  /** Up to here what the feed knows may be of a past that a backup has undone. */
  readonly undoneUpTo: number;
  readonly progress: {
    /** Whether etcd's progress responses are known to promise nothing. */
    readonly isUseless: boolean;
    /** Calls back when the feed has come to a revision, or when that cannot be known. */
    reach(revision: number, done: () => void): void;
    /** Asks etcd once how far it is. */
    nudge(): void;
  };
  /** Whether it has users, and which. */
  readonly used: boolean;
  readonly cursors: { readonly size: number };
  readonly subscribers: { readonly size: number };
  /** Ends a subscription; nothing happens when it is over already. */
  unsubscribe(subscription: Subscription): void;
  /** Has it take no new users from now on. */
  retire(): void;
}

/** A subscriber's place on a feed. */
export interface Subscription {
  /** What brings the batches. */
  readonly feed: SubscribedFeed;
  readonly range: KeyRange;
  readonly subscriber: FeedSubscriber;
}

/** The subscriptions to one feed. */
export class Subscribers {
  readonly #feed: SubscribedFeed;
  readonly #ranges = new RangeMap<Set<Subscription>>();
  #size = 0;
  /** Those that want to hear {@link FeedSubscriber.onMoved}; most feeds have none for most of the time. */
  #movable: Set<Subscription> | undefined;
  /** Those that came while a batch is looked at in slices: they had it from the history. */
  #newcomers: Set<Subscription> | undefined;

  constructor(feed: SubscribedFeed) {
    this.#feed = feed;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds a subscriber that the feed can serve, and gives it the batches from `next` on. */
  add(range: KeyRange, next: number, subscriber: FeedSubscriber, history: History): Subscription {
    const subscription: Subscription = { feed: this.#feed, range, subscriber };
    const found = this.#ranges.get(range);
    if (found === undefined) this.#ranges.add(range, new Set([subscription]));
    else found.add(subscription);
    this.#size++;
    this.#newcomers?.add(subscription);
    if (subscriber.onMoved !== undefined) {
      this.#movable ??= new Set();
      this.#movable.add(subscription);
    }
    for (let at = history.find(next); at < history.length; at++) {
      const batch = history.at(at) as Batch;
      const last = batch.events.findLast(({ key }) => range.contains(key));
      if (last !== undefined) subscriber.onBatch(batch, last.revision);
    }
    return subscription;
  }

  /** Removes a subscription. @returns whether it was there */
  remove(subscription: Subscription): boolean {
    this.#movable?.delete(subscription);
    const found = this.#ranges.get(subscription.range);
    if (found === undefined || !found.delete(subscription)) return false;
    this.#size--;
    if (found.size === 0) this.#ranges.delete(subscription.range);
    return true;
  }

  onBatch(batch: Batch): void {
    if (this.#size === 0) return;
    const matched = new Map<Subscription, number>();
    this.#match(batch, 0, batch.events.length, matched);
    for (const [{ subscriber }, last] of matched) subscriber.onBatch(batch, last);
  }

  /** The same for a huge batch, which is in the history already, in slices. */
  *inSlices(batch: Batch): Steps {
    if (this.#size === 0) return;
    const matched = new Map<Subscription, number>();
    this.#newcomers = new Set();
    for (let at = 0; at < batch.events.length; at += STEP_VISITS)
      yield this.#match(batch, at, at + STEP_VISITS, matched);
    for (const newcomer of this.#newcomers) matched.delete(newcomer);
    this.#newcomers = undefined;
    for (const [subscription, last] of matched) {
      if (!this.#ranges.get(subscription.range)?.has(subscription)) continue;
      const { subscriber } = subscription;
      if (subscriber.inSlices !== undefined) yield* subscriber.inSlices(batch);
      else {
        subscriber.onBatch(batch, last);
        yield STEP_VISITS;
      }
    }
  }

  onBegan(revision: number): void {
    for (const { subscriber } of this.#all()) subscriber.onBegan?.(revision);
  }

  onMoved(): void {
    const movable = this.#movable;
    if (movable === undefined) return;
    for (const { subscriber } of movable) subscriber.onMoved?.();
    if (movable.size === 0 && movable === this.#movable) this.#movable = undefined;
  }

  /** Ends all of them. */
  end(end: SubscriptionEnd): void {
    const all = [...this.#all()];
    for (const subscription of all) this.remove(subscription);
    for (const { subscriber } of all) subscriber.onEnd(end);
  }

  /**
   * Finds the subscriptions with an event in their range, each with the revision of the last one.
   * @returns the visits that it took
   */
  #match({ events }: Batch, from: number, to: number, matched: Map<Subscription, number>): number {
    let at = 0;
    let visits = 0;
    const collect = (subscriptions: ReadonlySet<Subscription>): void => {
      visits += subscriptions.size;
      for (const subscription of subscriptions) matched.set(subscription, at);
    };
    for (let i = from; i < to && i < events.length; i++) {
      const { key, revision } = events[i] as BatchEvent;
      at = revision;
      visits++;
      this.#ranges.visit(key, collect);
    }
    return visits;
  }

  *#all(): Iterable<Subscription> {
    for (const subscriptions of this.#ranges.values()) yield* subscriptions;
  }
}
