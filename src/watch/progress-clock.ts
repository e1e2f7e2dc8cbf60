/**
 * When the watchers of a feed are told how far it is: with etcd's own notifications, and where events keep those away for
 * as long as the interval that was learned from them.
 */
import type { ProgressInterval } from './progress-interval.ts';

export class ProgressClock {
  readonly #interval: ProgressInterval;
  readonly #onTick: () => void;
  /** When the progress interval began, in milliseconds of `performance.now()`. */
  #tickedAt = performance.now();
  /** When etcd's own interval began; not a number once events came in between. */
  #silentSince = Number.NaN;

  /** @param onTick is called when the watchers are to be told */
  constructor(interval: ProgressInterval, onTick: () => void) {
    this.#interval = interval;
    this.#onTick = onTick;
  }

  /** A stream to etcd begins, and both intervals. */
  onBegan(): void {
    this.#silentSince = performance.now();
    this.#tickedAt = this.#silentSince;
  }

  onEvents(): void {
    this.#silentSince = Number.NaN;
  }

  /** etcd has notified the feed of its progress, unasked. */
  onNotification(): void {
    const now = performance.now();
    if (this.#silentSince > 0) this.#interval.onGap(now - this.#silentSince);
    this.#silentSince = now;
    this.#tick(now);
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
