/** The next round after one in which nobody could be connected. */
import { setTimeout as schedule } from 'node:timers';
import { Backoff } from '../rpc/backoff.ts';

/** Delays between rounds. Milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 1500;

export class Retry {
  readonly #backoff = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  #timer: NodeJS.Timeout | undefined;

  /** Whether the next round has not begun yet. */
  get pending(): boolean {
    return this.#timer !== undefined;
  }

  /** Begins it after a delay that grows each time. */
  later(begin: () => void): void {
    this.#timer = schedule(() => {
      this.#timer = undefined;
      begin();
    }, this.#backoff.next());
  }

  /** Does not begin it. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** A connection was of use: delays start small again. */
  reset(): void {
    this.#backoff.reset();
  }
}
