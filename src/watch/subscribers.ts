/**
 * What lives on a feed and is no client's watcher: a cache that wants to know which of its entries are still true, a
 * mirror of a prefix. A subscriber takes every batch at once and never lags, so a feed that has one never stops
 * reading etcd: watchers that do not keep up fall out of its bounded history instead.
 */

import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { Batch } from './batch.ts';
import type { Feed } from './feed.ts';
import { RangeIndex } from './range-index.ts';
import type { Terminal } from './terminal.ts';

/** Hears from a feed. It must not subscribe or unsubscribe while it is called, {@link onEnd} apart. */
export interface FeedSubscriber {
  /**
   * A batch with events in the range, before any watcher gets it and before the feed's applied revision moves. It may
   * also hold events outside of the range, or before the revision that was subscribed from.
   * @param last the revision of its last event in the range
   */
  onBatch(batch: Batch, last: number): void;
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

/** A subscriber's place on a feed. */
export interface Subscription {
  /** What brings the batches; its `applied`, `header`, `state` and `syncPoint` may be read at any time. */
  readonly feed: Feed;
  readonly range: KeyRange;
  readonly subscriber: FeedSubscriber;
}

/** The subscriptions to one feed. */
export class Subscribers {
  readonly #feed: Feed;
  readonly #index = new RangeIndex<Subscription>();
  /** Those that want to hear {@link FeedSubscriber.onMoved}. */
  readonly #movable = new Set<Subscription>();

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** How many there are. */
  get size(): number {
    return this.#index.size;
  }

  /** Adds a subscriber that the feed can serve, and gives it the batches from `next` on. */
  add(range: KeyRange, next: number, subscriber: FeedSubscriber): Subscription {
    const subscription: Subscription = { feed: this.#feed, range, subscriber };
    this.#index.add(range, subscription);
    if (subscriber.onMoved !== undefined) this.#movable.add(subscription);
    const { history } = this.#feed;
    for (let at = history.find(next); at < history.length; at++) {
      const batch = history.at(at) as Batch;
      const last = batch.events.findLast(({ key }) => range.contains(key));
      if (last !== undefined) subscriber.onBatch(batch, last.revision);
    }
    if (this.#index.size === 1) this.#feed.flow();
    return subscription;
  }

  /** Removes a subscription. @returns whether it was there */
  remove(subscription: Subscription): boolean {
    this.#movable.delete(subscription);
    return this.#index.remove(subscription.range, subscription);
  }

  deliver(batch: Batch): void {
    for (const [{ subscriber }, last] of this.#index.match(batch)) subscriber.onBatch(batch, last);
  }

  began(revision: number): void {
    for (const { subscriber } of this.#index.all()) subscriber.onBegan?.(revision);
  }

  moved(): void {
    for (const { subscriber } of this.#movable) subscriber.onMoved?.();
  }

  /** Tells all of them that it is over. */
  end(end: SubscriptionEnd): void {
    const all = [...this.#index.all()];
    for (const subscription of all) this.remove(subscription);
    for (const { subscriber } of all) subscriber.onEnd(end);
  }
}
