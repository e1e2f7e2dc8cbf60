/**
 * The reads that wait until a mirror has applied a revision. An event may bring it there; since none may come, etcd is
 * asked how far the feed is, with one question for all of them.
 */
import type { SubscribedFeed } from '../watch/subscribers.ts';
import { RevisionLine } from './revision-line.ts';
import type { FallBack } from './stats.ts';

/** Waits for a revision. */
export interface Arrival {
  /** The mirror has applied it. */
  onArrived(): void;
  /** It will not come, or not be known to have come. */
  onFailed(reason: FallBack): void;
}

export class Arrivals {
  readonly #feed: () => SubscribedFeed | undefined;
  readonly #waiting = new RevisionLine<Arrival>();
  /** The highest revision that the feed was asked to reach. */
  #asked = 0;

  /** @param feed what the mirror lives on at the moment */
  constructor(feed: () => SubscribedFeed | undefined) {
    this.#feed = feed;
  }

  /** Waits for a revision that has not been applied yet. Exactly one of the two methods is called, unless it leaves. */
  wait(revision: number, arrival: Arrival): void {
    const feed = this.#feed();
    if (feed === undefined) {
      arrival.onFailed('loading');
      return;
    }
    if (feed.progress.isUseless) {
      arrival.onFailed('progress');
      return;
    }
    this.#waiting.add(arrival, revision);
    if (revision > this.#asked) this.#ask(feed, revision);
  }

  /** Waits no longer. */
  leave(arrival: Arrival): void {
    this.#waiting.delete(arrival);
  }

  /** Everything up to a revision has been applied. */
  onMoved(applied: number): void {
    for (const arrival of this.#waiting.take(applied)) arrival.onArrived();
  }

  /** The mirror lives on another feed: the question on the one before is not answered any more. */
  onOtherFeed(): void {
    const feed = this.#feed();
    this.#asked = 0;
    const { latest } = this.#waiting;
    if (feed !== undefined && latest > 0) this.#ask(feed, latest);
  }

  /** Nothing will come any more. */
  giveUp(reason: FallBack): void {
    this.#asked = 0;
    for (const arrival of this.#waiting.take(Number.POSITIVE_INFINITY)) arrival.onFailed(reason);
  }

  /** The feed tells its subscribers when it is there; what matters here is whether its member can be asked at all. */
  #ask(feed: SubscribedFeed, revision: number): void {
    this.#asked = revision;
    feed.progress.reach(revision, () => {
      if (feed === this.#feed() && feed.progress.isUseless) this.giveUp('progress');
    });
  }
}
