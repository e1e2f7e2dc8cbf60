/**
 * Feeds that begin for watches of what comes next before these are told that they exist. Such a feed begins wherever etcd is
 * when it has the watch, and so do they: nothing lies between. A watch that was told of an earlier revision would need what
 * happened since from a watch of the past, for which etcd takes its time, and says nothing of the progress meanwhile.
 */
import { type Header, NO_HEADER } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { Status } from '../rpc/status.ts';
import type { Feed } from './feed.ts';
import { FeedTable } from './feed-table.ts';
import type { FeedSubscriber, Subscription, SubscriptionEnd } from './subscribers.ts';

/** Who has the feeds. */
export interface BeginningsOwner {
  /** Starts a feed that serves nobody before {@link onBegun}. */
  startNow(range: KeyRange, prevKv: boolean): Feed;
  /** The feed is there, and may serve whoever wants no more than what comes next. */
  onBegun(feed: Feed): void;
  /** Ends a feed. */
  close(feed: Feed): void;
}

/** Waits for a feed to begin. */
export interface BeginningWaiter {
  /** The feed has begun, or it will not: then whoever waits goes on without it, unless it says why it failed. */
  onBegun(): void;
  /** It could not be told. */
  onFault(error: unknown): void;
}

/** One that has not begun, or not been taken into use. */
export class Beginning implements FeedSubscriber {
  readonly #waiters = new Set<BeginningWaiter>();
  readonly #feed: Feed;
  readonly #owner: BeginningsOwner;
  readonly #onOver: () => void;
  readonly #subscription: Subscription;
  #isOver = false;
  #failure: Status | undefined;

  /** @param onOver is told that nobody else can wait for it */
  constructor(feed: Feed, owner: BeginningsOwner, onOver: () => void) {
    this.#feed = feed;
    this.#owner = owner;
    this.#onOver = onOver;
    this.#subscription = feed.subscribe(feed.range, 1, this);
  }

  /** Whether there is nothing more to wait for. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Where etcd was when it had the watch; {@link NO_HEADER} where it has none. */
  get header(): Header {
    return this.#feed.state === 'live' ? this.#feed.header : NO_HEADER;
  }

  /** Why there is no watch, where asking etcd for another one would end the same, of whichever range: whoever waits ends so. */
  get failure(): Status | undefined {
    return this.#failure;
  }

  /** Keeps the feed for somebody, until {@link leave}. */
  join(waiter: BeginningWaiter): void {
    this.#waiters.add(waiter);
  }

  /** Somebody is on the feed, or wants it no more. */
  leave(waiter: BeginningWaiter): void {
    if (!this.#waiters.delete(waiter) || this.#waiters.size > 0) return;
    if (this.#isOver) this.#feed.unsubscribe(this.#subscription);
    else {
      this.#finish();
      this.#owner.close(this.#feed);
    }
  }

  onBatch(): void {
    // The history has it.
  }

  onMoved(): void {
    if (this.#isOver) return;
    if (this.#feed.state === 'live') {
      this.#owner.onBegun(this.#feed);
      this.#finish();
      this.#tell();
    } else if (this.#feed.state === 'resuming') this.#fail();
  }

  onEnd(end: SubscriptionEnd): void {
    if (this.#isOver) return;
    if (end.kind === 'status') this.#failure = end.status;
    this.#fail();
  }

  /** A feed that etcd would not have at once is not worth the wait. */
  #fail(): void {
    this.#finish();
    this.#owner.close(this.#feed);
    this.#tell();
  }

  #finish(): void {
    // Where this throws, the feed ends, and whoever waits hears of that.
    this.#onOver();
    this.#isOver = true;
  }

  #tell(): void {
    for (const waiter of [...this.#waiters])
      try {
        waiter.onBegun();
      } catch (error) {
        waiter.onFault(error);
      }
  }
}

/** Those of one identity. */
export class Beginnings {
  readonly #owner: BeginningsOwner;
  /** By their feeds, and these by their ranges. */
  readonly #ofFeeds = new Map<Feed, Beginning>();
  readonly #feeds = new FeedTable();

  constructor(owner: BeginningsOwner) {
    this.#owner = owner;
  }

  /** One of the range, or of one that contains it; it must be joined at once. */
  of(range: KeyRange, prevKv: boolean): Beginning {
    const [feed] = this.#feeds.covering(range, prevKv);
    return (feed && this.#ofFeeds.get(feed)) ?? this.#start(range, prevKv);
  }

  #start(range: KeyRange, prevKv: boolean): Beginning {
    const feed = this.#owner.startNow(range, prevKv);
    try {
      const beginning = new Beginning(feed, this.#owner, () => {
        this.#ofFeeds.delete(feed);
        this.#feeds.remove(feed);
      });
      this.#ofFeeds.set(feed, beginning);
      this.#feeds.add(feed);
      return beginning;
    } catch (error) {
      // Nobody else knows of it.
      this.#owner.close(feed);
      throw error;
    }
  }
}
