/**
 * The progress requests of one client stream. All that wait share a round: every feed that a watch of the stream is
 * on is asked, and when all have answered and every watch has been sent everything, the client gets the least of
 * their revisions. As in etcd there is no answer while a watch lags behind, or when there is no watch, and no more
 * answers than the stream has room for.
 */

import type { Header } from '../etcd/header.ts';
import { withRevision } from '../etcd/header.ts';
import type { Watcher, WatcherFeed } from './watcher.ts';

/** Requests that one round answers; more are passed over, as etcd does when its channel is full. */
const MAX_WAITING = 128;

/** The stream. */
export interface ProgressRoundsOwner {
  readonly watchers: { all(): Iterable<Watcher> };
  /** Answers so many requests, as far as there is room. */
  answerProgress(header: Header, count: number): void;
  /** A round cannot go on: ends the stream. */
  onFault(error: unknown): void;
}

export class ProgressRounds {
  readonly #owner: ProgressRoundsOwner;
  /** Requests that the round under way will answer. */
  #asked = 0;
  #waiting = 0;
  #closed = false;

  constructor(owner: ProgressRoundsOwner) {
    this.#owner = owner;
  }

  /** The client asks. */
  onRequest(): void {
    if (this.#waiting < MAX_WAITING) this.#waiting++;
    if (this.#asked === 0) this.#next();
  }

  /** The stream is over. */
  close(): void {
    this.#closed = true;
  }

  #next(): void {
    if (this.#waiting === 0 || this.#closed) return;
    this.#asked = this.#waiting;
    this.#waiting = 0;
    const feeds = this.#feeds();
    let left = feeds.size;
    if (left === 0) this.#finish();
    for (const [feed, told] of feeds) {
      const done = (): void => {
        if (--left === 0) this.#end();
      };
      feed.progress.ask(told, done, (error) => this.#owner.onFault(error));
    }
  }

  /** All feeds have answered; they are not to suffer from what becomes of it. */
  #end(): void {
    try {
      this.#finish();
    } catch (error) {
      this.#owner.onFault(error);
    }
  }

  /** The feeds that watches are on, each with the highest revision that one of its watches was told. */
  #feeds(): Map<WatcherFeed, number> {
    const feeds = new Map<WatcherFeed, number>();
    for (const { feed, sentRevision } of this.#owner.watchers.all())
      if (feed !== undefined) feeds.set(feed, Math.max(sentRevision, feeds.get(feed) ?? 0));
    return feeds;
  }

  #finish(): void {
    if (this.#closed) return;
    const count = this.#asked;
    this.#asked = 0;
    const least = this.#least();
    if (least !== undefined) this.#answer(withRevision(least.header, least.announced), count);
    this.#next();
  }

  /** The answer is about every watch of the stream: none of them is told less from now on. */
  #answer(header: Header, count: number): void {
    for (const watcher of this.#owner.watchers.all()) watcher.onTold(header.revision);
    this.#owner.answerProgress(header, count);
  }

  /** The feed that is furthest behind, if every watch has had everything up to where that is. */
  #least(): WatcherFeed | undefined {
    let least: WatcherFeed | undefined;
    for (const feed of this.#feeds().keys())
      if (least === undefined || feed.announced < least.announced) least = feed;
    if (least === undefined) return undefined;
    for (const watcher of this.#owner.watchers.all()) if (!watcher.isAt(least.announced)) return undefined;
    return least;
  }
}
