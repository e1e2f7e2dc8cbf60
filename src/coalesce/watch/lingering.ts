/** Feeds that nobody uses now: each stays for a while, so that a client that returns finds its history. */
import type { Feed } from './feed.ts';

/** Feeds that wait for somebody; of more, the one that waits for longest is closed. */
const MAX_LINGERING = 1000;

export class Lingering {
  readonly #timers = new Map<Feed, NodeJS.Timeout>();
  readonly #ms: number;
  readonly #close: (feed: Feed) => void;

  /**
   * @param ms for how long a feed stays
   * @param close ends a feed; it must call {@link used}
   */
  constructor(ms: number, close: (feed: Feed) => void) {
    this.#ms = ms;
    this.#close = close;
  }

  /** The feed has lost its last user. */
  unused(feed: Feed): void {
    if (this.#timers.has(feed)) return;
    if (feed.state === 'ended' || feed.target !== undefined || this.#ms === 0) {
      this.#close(feed);
      return;
    }
    this.#timers.set(
      feed,
      setTimeout(() => this.#close(feed), this.#ms),
    );
    if (this.#timers.size > MAX_LINGERING) this.#close(this.#timers.keys().next().value as Feed);
  }

  /** The feed is used again, or gone. */
  used(feed: Feed): void {
    clearTimeout(this.#timers.get(feed));
    this.#timers.delete(feed);
  }
}
