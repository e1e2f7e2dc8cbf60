/**
 * Feeds that are not used now, of whatever identity: each stays for a while, so that a client that returns finds its
 * history. What clients have named them by stays with them, so they are bounded in bytes as well.
 */

/** A feed that may wait. */
export interface UnusedFeed {
  /** Whether it is worth keeping. */
  readonly lingers: boolean;
  /** Ends it; this must call {@link Lingering.onUsed}. */
  close(): void;
}

/** Feeds that wait for a user; of more, the one that waits for longest is closed. */
const MAX_LINGERING = 1000;

/** Keys and tokens of all of them. */
const LINGERING_BYTES = 16 << 20;

interface Waiting {
  readonly timer: NodeJS.Timeout;
  readonly bytes: number;
}

export class Lingering {
  /** Of keys and tokens. */
  bytes = 0;
  readonly #waiting = new Map<UnusedFeed, Waiting>();
  readonly #ms: number;
  readonly #onFull: () => void;

  /**
   * @param ms for how long a feed stays
   * @param onFull is told that one has to go before its time
   */
  constructor(ms: number, onFull: () => void) {
    this.#ms = ms;
    this.#onFull = onFull;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** The feed has lost its last user. @param bytes of its keys and its client's token */
  onUnused(feed: UnusedFeed, bytes: number): void {
    if (this.#waiting.has(feed)) return;
    if (!feed.lingers || this.#ms === 0) {
      feed.close();
      return;
    }
    this.#waiting.set(feed, { timer: setTimeout(() => feed.close(), this.#ms).unref(), bytes });
    this.bytes += bytes;
    while (this.#waiting.size > MAX_LINGERING || this.bytes > LINGERING_BYTES) {
      this.#onFull();
      const [oldest] = this.#waiting.keys();
      oldest?.close();
    }
  }

  /** The feed is used again, or gone. */
  onUsed(feed: UnusedFeed): void {
    const waiting = this.#waiting.get(feed);
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    this.bytes -= waiting.bytes;
    this.#waiting.delete(feed);
  }
}
