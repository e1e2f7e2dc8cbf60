/** Delays between attempts: exponential, jittered so that many proxies do not return in step, bounded. */

const FIRST_MS = 100;
const FACTOR = 1.6;
const MAX_MS = 3000;
const JITTER = 0.2;

export class Backoff {
  #delay = FIRST_MS;

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const delay = this.#delay * (1 - JITTER + Math.random() * 2 * JITTER);
    this.#delay = Math.min(this.#delay * FACTOR, MAX_MS);
    return delay;
  }

  /** The last attempt was a success: the next failure starts with the shortest delay. */
  reset(): void {
    this.#delay = FIRST_MS;
  }
}
