/**
 * When the watchers of a feed are told how far it is: with etcd's own notifications, and where events keep those away for
 * as long as the interval that was learned from them.
 */

export class ProgressClock {
  readonly #onTick: () => void;
  /** When the progress interval began, in milliseconds of `performance.now()`. */
  #tickedAt = performance.now();

  /** @param onTick is called when the watchers are to be told */
  constructor(onTick: () => void) {
    this.#onTick = onTick;
  }

  /** A stream to etcd begins, and the interval. */
  onBegan(): void {
    this.#tickedAt = performance.now();
  }

  /** etcd has notified the feed of its progress, unasked. */
  onNotification(): void {
    this.#tick(performance.now());
  }

  /** Ticks if the last time is so many milliseconds ago. */
  look(now: number, ms: number): void {
    if (now - this.#tickedAt > ms) this.#tick(now);
  }

  #tick(now: number): void {
    this.#tickedAt = now;
    this.#onTick();
  }
}
