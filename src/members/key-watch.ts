/** Tells when a key is deleted that was put, by whatever feed of the watch hub brings it. */
import { KeyRange } from '../etcd/key-range.ts';
import type { Batch } from '../watch/batch.ts';
import type { IdentityFeeds } from '../watch/identity-feeds.ts';
import type { FeedSubscriber, Subscription } from '../watch/subscribers.ts';

export class KeyWatch implements FeedSubscriber {
  readonly #range: KeyRange;
  readonly #from: number;
  readonly #onDeleted: () => void;
  #subscription: Subscription | undefined;

  /**
   * @param key latin1
   * @param put the revision at which it was put
   * @param onDeleted it is not there any more; called within what brings events
   */
  constructor(feeds: IdentityFeeds, key: string, put: number, onDeleted: () => void) {
    this.#range = new KeyRange(key, '');
    this.#from = put + 1;
    this.#onDeleted = onDeleted;
    this.#subscription = feeds.subscribe(this.#range, true, this.#from, this);
  }

  /** Whether it hears; otherwise nobody knows what becomes of the key. */
  get alive(): boolean {
    return this.#subscription !== undefined;
  }

  onBatch({ events }: Batch, last: number): void {
    if (last < this.#from) return;
    if (events.findLast(({ key }) => this.#range.contains(key))?.isDelete) this.#onDeleted();
  }

  onEnd(): void {
    this.#subscription = undefined;
  }

  /** Hears no more. */
  stop(): void {
    this.#subscription?.feed.unsubscribe(this.#subscription);
    this.#subscription = undefined;
  }
}
