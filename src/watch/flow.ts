/**
 * Whether a feed reads etcd. A feed whose watchers all lag behind, and of which much lies unread, gives its stream up until
 * the one furthest behind has read half of that. Of a response that is too long to be kept none reads ahead.
 */
import type { History } from './history.ts';

/** With so much unread by every watcher, a catch-up feed stops reading etcd. */
const CATCH_UP_BYTES = 1 << 20;
/** The same for other feeds. */
const STALL_BYTES = 8 << 20;

/** The feed, as far as that decides. */
export interface FlowFeed {
  readonly applied: number;
  /** Whether it only brings watchers up to another feed: then it remembers only what they need. */
  readonly catchesUp: boolean;
  readonly history: History;
  readonly cursors: { readonly allLagging: boolean; least(): number; lagBlocked(): void };
  readonly subscribers: { readonly size: number };
}

/** Its stream. */
export interface FlowStream {
  readonly parked: boolean;
  park(): void;
  unpark(): void;
}

export class Flow {
  readonly #feed: FlowFeed;
  readonly #stream: FlowStream;
  /** The least revision that a watcher needed when the stream was given up. */
  #parkedAt = 0;
  /** What was taken last is a part of a response, of which as much may be still to come. */
  #partial = false;

  constructor(feed: FlowFeed, stream: FlowStream) {
    this.#feed = feed;
    this.#stream = stream;
  }

  /** The stream was given up, or waits, until somebody reads. */
  get isParked(): boolean {
    return this.#stream.parked;
  }

  /** A response was taken. @param partial more follows of what etcd had in one */
  onTaken(partial: boolean): void {
    this.#partial = partial;
    this.look(partial);
  }

  /** What had to be made of it for watchers is there: those who had it may read no more. */
  onMade(): void {
    if (this.#partial) this.look(true);
  }

  /**
   * Users have come, gone or read: decides whether etcd may send more.
   * @param partial none may read ahead of users
   */
  look(partial = false): void {
    const { cursors, subscribers, history, catchesUp, applied } = this.#feed;
    if (partial) cursors.lagBlocked();
    const allLag = cursors.allLagging && subscribers.size === 0;
    const least = allLag || catchesUp ? cursors.least() : applied + 1;
    if (catchesUp) history.forgetBefore(least);
    if (allLag && (partial || this.#isFull(least))) {
      if (this.#stream.parked) return;
      this.#parkedAt = least;
      this.#stream.park();
    } else if (this.#stream.parked) this.#stream.unpark();
  }

  /** Whether much lies unread; once the stream was given up for that, until half of it is read. */
  #isFull(least: number): boolean {
    const unread = this.#feed.history.bytesFrom(least);
    const limit = this.#feed.catchesUp ? CATCH_UP_BYTES : STALL_BYTES;
    return this.#stream.parked ? least === this.#parkedAt || unread > limit / 2 : unread > limit;
  }
}
