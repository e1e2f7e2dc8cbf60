/** Delays between attempts: exponential, jittered so that many proxies do not return in step, bounded. */

const FACTOR = 1.6;
const JITTER = 0.2;

export class Backoff {
  readonly #first: number;
  readonly #most: number;
  #delay: number;

  /** Delays from `first` to `most` milliseconds, more or less. */
  constructor(first: number, most: number) {
    this.#first = first;
    this.#most = most;
    this.#delay = first;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const delay = this.#delay * (1 - JITTER + Math.random() * 2 * JITTER);
    this.#delay = Math.min(this.#delay * FACTOR, this.#most);
    return delay;
  }

  /** The last attempt was a success: the next failure starts with the shortest delay. */
  reset(): void {
    this.#delay = this.#first;
  }
}
