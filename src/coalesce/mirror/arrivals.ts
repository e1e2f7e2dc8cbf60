/**
 * Who waits until a mirror has applied a revision. An event may bring it there; since nobody knows whether one comes,
 * etcd is asked how far the feed is, one question for all who wait.
 */
import type { Feed } from '../watch/feed.ts';
import type { FallBack } from './stats.ts';

/** Waits for a revision. */
export interface Arrival {
  /** The mirror has applied it. */
  arrived(): void;
  /** It will not come, or not be known to have come. */
  failed(reason: FallBack): void;
}

/** A member that is behind is asked again after this long, in milliseconds. */
const AGAIN_MS = 10;

export class Arrivals {
  readonly #feed: () => Feed | undefined;
  #waiting = new Map<Arrival, number>();
  #asking = false;

  /** @param feed what the mirror lives on at the moment */
  constructor(feed: () => Feed | undefined) {
    this.#feed = feed;
  }

  /** Waits for a revision that has not been applied yet. Exactly one of the two methods is called, unless it leaves. */
  wait(revision: number, arrival: Arrival): void {
    const feed = this.#feed();
    if (feed === undefined) {
      arrival.failed('loading');
      return;
    }
    if (feed.memberKnown && !feed.progressIsSafe) {
      arrival.failed('progress');
      return;
    }
    this.#waiting.set(arrival, revision);
    this.#ask();
  }

  /** Waits no longer. */
  leave(arrival: Arrival): void {
    this.#waiting.delete(arrival);
  }

  /** Everything up to a revision has been applied. */
  moved(applied: number): void {
    if (this.#waiting.size === 0) return;
    const there = [...this.#waiting].filter(([, revision]) => revision <= applied);
    for (const [arrival] of there) this.#waiting.delete(arrival);
    for (const [arrival] of there) arrival.arrived();
  }

  /** The mirror lives on another feed: the question on the one before is not answered any more. */
  moveOver(): void {
    this.#ask();
  }

  /** Nothing will come any more. */
  giveUp(reason: FallBack): void {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const arrival of waiting.keys()) arrival.failed(reason);
  }

  #ask(): void {
    const feed = this.#feed();
    if (this.#asking || feed === undefined || this.#waiting.size === 0) return;
    this.#asking = true;
    feed.progress.ask(() => {
      this.#asking = false;
      // The feed tells its subscribers only afterwards.
      queueMicrotask(() => this.#answered(feed));
    });
  }

  #answered(feed: Feed): void {
    if (this.#waiting.size === 0) return;
    if (feed !== this.#feed()) this.#ask();
    else if (feed.memberKnown && !feed.progressIsSafe) this.giveUp('progress');
    else setTimeout(() => this.#ask(), AGAIN_MS).unref();
  }
}
