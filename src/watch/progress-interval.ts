/**
 * etcd's interval of progress notifications, learned from those it sends. A feed gets none while it has events, but a
 * watcher on a part of its range may be silent all the while: it is told by this clock instead.
 */

/** etcd's default. */
const DEFAULT_MS = 600_000;
/** etcd takes no shorter interval. What comes sooner is a notification that was late and the next one, which was not. */
const LEAST_MS = 100;
/** So many of the latest gaps count, and the one in the middle is taken, since any of them may be off. */
const GAPS = 5;
const ENOUGH = 3;
/** etcd adds up to a tenth, and a clock that is slightly late is never wrong. */
const SLACK = 1.15;

export class ProgressInterval {
  #ms = DEFAULT_MS;
  #timer: NodeJS.Timeout | undefined;
  readonly #gaps: number[] = [];
  readonly #onDue: (now: number, ms: number) => void;

  /** @param onDue is called often enough to find feeds that have waited for longer than the given time */
  constructor(onDue: (now: number, ms: number) => void) {
    this.#onDue = onDue;
  }

  /** Milliseconds after which a watcher that had nothing is told where it is. */
  get ms(): number {
    return this.#ms * SLACK;
  }

  /** Starts the clock. */
  start(): void {
    this.#timer ??= this.#arm();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** So many milliseconds lay between two notifications of etcd, with nothing between them. */
  onGap(ms: number): void {
    this.#gaps.push(Math.max(LEAST_MS, ms));
    if (this.#gaps.length > GAPS) this.#gaps.shift();
    if (this.#gaps.length < ENOUGH) return;
    const middle = this.#gaps.toSorted((a, b) => a - b)[this.#gaps.length >> 1] as number;
    if (Math.abs(middle - this.#ms) < this.#ms * (SLACK - 1)) return;
    this.#ms = middle;
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = this.#arm();
  }

  #arm(): NodeJS.Timeout {
    const timer = setInterval(() => this.#onDue(performance.now(), this.ms), this.#ms / 2);
    timer.unref();
    return timer;
  }
}
