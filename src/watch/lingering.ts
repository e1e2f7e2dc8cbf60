/**
 * Feeds that nobody uses now, of whatever identity: each stays for a while, so that a client that returns finds its
 * history. What clients have named them by stays with them, so they are bounded in bytes as well.
 */
import type { Feed } from './feed.ts';

/** Feeds that wait for somebody; of more, the one that waits for longest is closed. */
const MAX_LINGERING = 1000;

/** Keys and tokens of all of them. */
const LINGERING_BYTES = 16 << 20;

interface Waiting {
  readonly timer: NodeJS.Timeout;
  readonly bytes: number;
  /** Ends the feed; it must call {@link Lingering.used}. */
  readonly close: (feed: Feed) => void;
}

export class Lingering {
  /** Of keys and tokens. */
  bytes = 0;
  readonly #waiting = new Map<Feed, Waiting>();
  readonly #ms: number;
  readonly #full: () => void;

  /**
   * @param ms for how long a feed stays
   * @param full is told that one has to go before its time
   */
  constructor(ms: number, full: () => void) {
    this.#ms = ms;
    this.#full = full;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * The feed has lost its last user.
   * @param bytes of its keys and its client's token
   * @param close ends it; it must call {@link used}
   */
  unused(feed: Feed, bytes: number, close: Waiting['close']): void {
    if (this.#waiting.has(feed)) return;
    if (feed.state === 'ended' || feed.target !== undefined || this.#ms === 0) {
      close(feed);
      return;
    }
    this.#waiting.set(feed, { timer: setTimeout(() => close(feed), this.#ms), bytes, close });
    this.bytes += bytes;
    while (this.#waiting.size > MAX_LINGERING || this.bytes > LINGERING_BYTES) {
      this.#full();
      const [[oldest, waiting]] = this.#waiting as unknown as [[Feed, Waiting]];
      waiting.close(oldest);
    }
  }

  /** The feed is used again, or gone. */
  used(feed: Feed): void {
    const waiting = this.#waiting.get(feed);
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    this.bytes -= waiting.bytes;
    this.#waiting.delete(feed);
  }
}
