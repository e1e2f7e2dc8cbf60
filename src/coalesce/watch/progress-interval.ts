/**
 * etcd's interval of progress notifications, learned from those it sends. A feed gets none while it has events, but a
 * watcher on a part of its range may be silent all the while: it is told by this clock instead.
 */

/** etcd's default. */
const DEFAULT_MS = 600_000;
/** etcd adds up to a tenth, and a clock that is slightly late is never wrong. */
const SLACK = 1.15;

export class ProgressInterval {
  #ms = DEFAULT_MS;
  #timer: NodeJS.Timeout | undefined;
  readonly #due: (now: number, ms: number) => void;

  /** @param due is called often enough to find whoever has waited for longer than the given time */
  constructor(due: (now: number, ms: number) => void) {
    this.#due = due;
  }

  /** Starts the clock. */
  start(): void {
    this.#timer ??= this.#arm();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** So much time lay between two notifications of etcd. */
  saw(ms: number): void {
    if (ms >= this.#ms || ms < 20) return;
    this.#ms = ms;
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = this.#arm();
  }

  #arm(): NodeJS.Timeout {
    const timer = setInterval(() => this.#due(performance.now(), this.#ms * SLACK), this.#ms / 2);
    timer.unref();
    return timer;
  }
}
