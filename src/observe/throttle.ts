/**
 * Keeps what strangers can cause from filling the log.
 */

/** Lets one line through in a period, and counts the others. */
export class Throttle {
  readonly #periodMs: number;
  #quietUntil = 0;
  #suppressed = 0;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Calls `write` with the number of lines left out since the last one, or counts one more. */
  line(write: (suppressed: number) => void): void {
    const now = performance.now();
    if (now < this.#quietUntil) {
      this.#suppressed++;
      return;
    }
    write(this.#suppressed);
    this.#quietUntil = now + this.#periodMs;
    this.#suppressed = 0;
  }
}
