/** Delays between attempts to open a watch again: short at first, growing, jittered so that feeds do not return in step. */

const FIRST_MS = 20;
const FACTOR = 1.7;
const MAX_MS = 3000;

export class RetryDelay {
  #delay = FIRST_MS;

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const delay = this.#delay * (0.5 + Math.random());
    this.#delay = Math.min(this.#delay * FACTOR, MAX_MS);
    return delay;
  }

  /** The last attempt was a success. */
  reset(): void {
    this.#delay = FIRST_MS;
  }
}
