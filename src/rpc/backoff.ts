/** Delays between attempts: exponential, jittered so that many proxies do not return in step, bounded. */

/** How delays grow, and by which part of each they are shorter or longer, at random. */
export interface BackoffShape {
  readonly factor: number;
  readonly jitter: number;
}

const USUAL: BackoffShape = { factor: 1.6, jitter: 0.2 };

export class Backoff {
  readonly #first: number;
  readonly #most: number;
  readonly #shape: BackoffShape;
  #delay: number;

  /** Delays from `first` to `most` milliseconds, more or less. */
  constructor(first: number, most: number, shape: BackoffShape = USUAL) {
    this.#first = first;
    this.#most = most;
    this.#shape = shape;
    this.#delay = first;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const { factor, jitter } = this.#shape;
    const delay = this.#delay * (1 - jitter + Math.random() * 2 * jitter);
    this.#delay = Math.min(this.#delay * factor, this.#most);
    return delay;
  }

  /** The last attempt was a success: the next failure starts with the shortest delay. */
  reset(): void {
    this.#delay = this.#first;
  }
}
