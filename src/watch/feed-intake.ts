/** What etcd brings to a feed, events or how far it is: made into batches, remembered, and handed to all that are on the feed. */

import type { WatchResponse } from '../etcd/watch-response.ts';
import type { Batch } from './batch.ts';
import { FeedGap } from './feed-gap.ts';
import type { History } from './history.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import type { Steps } from './slices.ts';

/** The feed. */
export interface IntakeFeed {
  /** Everything up to here has been seen; it moves here only. */
  applied: number;
  /** Whether it was started for events that had happened already. */
  readonly past: boolean;
  readonly history: History;
  readonly subscribers: { onBatch(batch: Batch): void; inSlices(batch: Batch): Steps };
  readonly cursors: { deliver(batch: Batch): void; deliverInSlices(batch: Batch): Steps };
  readonly progress: { readonly isSafe: boolean; learnMember(): void; onAnswer(): void };
  readonly clock: { onNotification(): void };
  /** A response was taken. @param partial more follows of what etcd had in one */
  onTaken(partial: boolean): void;
}

export class FeedIntake {
  readonly #feed: IntakeFeed;
  readonly #gap = new FeedGap();
  readonly #shared: SharedFeeds;

  constructor(feed: IntakeFeed, shared: SharedFeeds) {
    this.#feed = feed;
    this.#shared = shared;
  }

  /** A watch on etcd begins, on a member at this revision. */
  onBegan(revision: number): void {
    if (!this.#feed.past) this.#gap.onBegan(revision, this.#feed.applied);
  }

  /** Takes a response of etcd. */
  take(response: WatchResponse): void {
    if (response.events.length > 0) this.#onEvents(response);
    else this.#onProgress(response);
    this.#feed.onTaken(response.fragment);
  }

  /** The same for a huge one, in slices. */
  *inSlices(response: WatchResponse): Steps {
    const feed = this.#feed;
    const batches = yield* this.#gap.inSlices(response, feed.applied);
    this.#shared.stats.countReceived(response.events.length, batches);
    for (const batch of batches) {
      if (batch.isHuge) {
        feed.history.push(batch);
        yield* feed.subscribers.inSlices(batch);
        yield* feed.cursors.deliverInSlices(batch);
        feed.applied = batch.revision;
      } else this.#onBatch(batch);
      this.#shared.budget.enforce();
      yield batch.isHuge ? 1 : batch.visits;
    }
    feed.onTaken(response.fragment);
  }

  #onEvents(response: WatchResponse): void {
    const batches = this.#gap.batches(response, this.#feed.applied);
    this.#shared.stats.countReceived(response.events.length, batches);
    for (const batch of batches) this.#onBatch(batch);
    this.#shared.budget.enforce();
  }

  #onBatch(batch: Batch): void {
    const feed = this.#feed;
    feed.history.push(batch);
    feed.subscribers.onBatch(batch);
    feed.cursors.deliver(batch);
    feed.applied = batch.revision;
  }

  #onProgress({ header, watchId }: WatchResponse): void {
    const { progress, clock } = this.#feed;
    const isNotification = watchId >= 0;
    progress.learnMember();
    if (progress.isSafe) {
      if (header.revision > this.#feed.applied) this.#feed.applied = header.revision;
      if (!isNotification) progress.onAnswer();
    }
    if (isNotification) clock.onNotification();
  }
}
