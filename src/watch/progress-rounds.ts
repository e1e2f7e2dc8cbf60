/**
 * The progress requests of one client stream. All that wait share a round: every feed that a watch of the stream is
 * on is asked, and when all have answered and every watch has been sent everything, the client gets the least of
 * their revisions. As in etcd there is no answer while a watch lags behind, or when there is no watch, and no more
 * answers than the stream has room for.
 *
 * Feeds do not answer at one moment, as etcd does. What a watch is told meanwhile may be more than another feed has answered,
 * and a watch may have begun, or moved to a feed that was not asked: then the round is tried again.
 */

import type { Header } from '../etcd/header.ts';
import { withRevision } from '../etcd/header.ts';
import type { Watcher, WatcherFeed } from './watcher.ts';

/** Requests that one round answers; more are passed over, as etcd does when its channel is full. */
const MAX_WAITING = 128;

/** How often one is tried. */
const MAX_TRIES = 8;

/** With the first request after so many milliseconds a round begins anew: the feed that keeps it may have none of the watches left. */
const PATIENCE_MS = 1000;

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
  /** Counts tries; how often the round under way was tried, and since when, in milliseconds of `performance.now()`. */
  #try = 0;
  #tries = 0;
  #beganAt = 0;
  /** Of the try: the feeds, those of them that it waits for, and the revision that they have to come to. */
  #feeds: ReadonlySet<WatcherFeed> = new Set();
  #awaited: Set<WatcherFeed> = new Set();
  #told = 0;
  /** The feeds that have not answered, of this try or an earlier one. */
  readonly #asking = new Set<WatcherFeed>();
  #closed = false;

  constructor(owner: ProgressRoundsOwner) {
    this.#owner = owner;
  }

  /** The client asks. */
  onRequest(): void {
    if (this.#waiting < MAX_WAITING) this.#waiting++;
    const isLong = this.#asked > 0 && performance.now() - this.#beganAt >= PATIENCE_MS;
    if (isLong) this.#waiting = Math.min(MAX_WAITING, this.#waiting + this.#asked);
    if (isLong || this.#asked === 0) this.#next();
  }

  /** The stream is over. */
  close(): void {
    this.#closed = true;
  }

  #next(): void {
    this.#asked = 0;
    if (this.#waiting === 0 || this.#closed) return;
    this.#asked = this.#waiting;
    this.#waiting = 0;
    this.#tries = 0;
    this.#beganAt = performance.now();
    this.#begin();
  }

  #begin(): void {
    this.#try++;
    this.#tries++;
    this.#told = 0;
    const feeds = new Set<WatcherFeed>();
    for (const { feed, sentRevision } of this.#owner.watchers.all()) {
      if (feed !== undefined) feeds.add(feed);
      this.#told = Math.max(this.#told, sentRevision);
    }
    this.#feeds = feeds;
    this.#awaited = new Set(feeds);
    if (feeds.size === 0) this.#finish();
    for (const feed of feeds) this.#ask(feed);
  }

  /** Asks a feed; one that has not answered what it was asked before is asked again when it has. */
  #ask(feed: WatcherFeed): void {
    if (this.#asking.has(feed)) return;
    this.#asking.add(feed);
    const asked = this.#try;
    const done = (): void => this.#guard(() => this.#onAnswer(feed, asked));
    feed.progress.ask(this.#told, done, (error) => this.#owner.onFault(error));
  }

  #onAnswer(feed: WatcherFeed, asked: number): void {
    this.#asking.delete(feed);
    if (this.#closed || !this.#awaited.has(feed)) return;
    if (asked < this.#try) this.#ask(feed);
    else if (this.#awaited.delete(feed) && this.#awaited.size === 0) this.#finish();
  }

  /** The feeds that have answered are not to suffer from what becomes of it. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#owner.onFault(error);
    }
  }

  #finish(): void {
    if (this.#closed) return;
    const { least, isAll } = this.#state();
    if (least !== undefined && isAll && this.#hasAll(least.announced))
      this.#answer(withRevision(least.header, least.announced), this.#asked);
    else if (this.#tries < MAX_TRIES && (!isAll || this.#isInStep)) {
      this.#begin();
      return;
    }
    this.#next();
  }

  /** The answer is about every watch of the stream: none of them is told less from now on. */
  #answer(header: Header, count: number): void {
    for (const watcher of this.#owner.watchers.all()) watcher.onTold(header.revision);
    this.#owner.answerProgress(header, count);
  }

  /** The feed that is furthest behind, and whether all that watches are on were asked. */
  #state(): { readonly least: WatcherFeed | undefined; readonly isAll: boolean } {
    let least: WatcherFeed | undefined;
    for (const { feed } of this.#owner.watchers.all()) {
      if (feed === undefined) continue;
      if (!this.#feeds.has(feed)) return { least, isAll: false };
      if (least === undefined || feed.announced < least.announced) least = feed;
    }
    return { least, isAll: true };
  }

  /** Whether every watch has had everything up to a revision, and may be told so. */
  #hasAll(revision: number): boolean {
    for (const watcher of this.#owner.watchers.all()) if (!watcher.isAt(revision)) return false;
    return true;
  }

  /** Whether every watch has had all that its feed has. */
  get #isInStep(): boolean {
    for (const watcher of this.#owner.watchers.all()) if (!watcher.isInStep) return false;
    return this.#feeds.size > 0;
  }
}
