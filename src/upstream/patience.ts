/**
 * Timers that judge others. One that fires late says that this process was held up, and then answers may wait in the
 * sockets unread: so it grants its whole time once more.
 */

/** A timer that fires later than this was held up. Milliseconds. */
export const LATE_MS = 150;

/** Calls back after a time in which this process was able to notice answers. */
export class Patience {
  readonly #expired: () => void;
  readonly #ms: number;
  #timer: NodeJS.Timeout | undefined;
  #due = 0;

  /** Starts to wait for `ms` milliseconds. */
  constructor(ms: number, expired: () => void) {
    this.#ms = ms;
    this.#expired = expired;
    this.#start();
  }

  /** Stops waiting. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #start(): void {
    this.#due = performance.now() + this.#ms;
    this.#timer = setTimeout(() => {
      if (performance.now() - this.#due > LATE_MS) this.#start();
      else this.#expired();
    }, this.#ms);
    this.#timer.unref();
  }
}
