/**
 * Timers that judge others. One that fires late says that this process was held up, and then answers may wait in the
 * sockets unread: so it grants its whole time once more. In any case the sockets are read before it judges.
 */

/** A timer that fires later than this was held up. Milliseconds. */
export const LATE_MS = 150;

/** Calls back after a time in which this process was able to notice answers. */
export class Patience {
  readonly #expired: () => void;
  readonly #ms: number;
  readonly #until: number;
  #timer: NodeJS.Timeout | undefined;
  #read: NodeJS.Immediate | undefined;
  #due = 0;
  /** Where each turn is late, there is still an end. */
  #granted = false;

  /**
   * Starts to wait for `ms` milliseconds.
   * @param until no more time is granted beyond this moment of `performance.now()`
   */
  constructor(ms: number, expired: () => void, until = Number.POSITIVE_INFINITY) {
    this.#ms = ms;
    this.#expired = expired;
    this.#until = until;
    this.#start();
  }

  /** Stops waiting. */
  end(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#read);
  }

  #start(): void {
    const now = performance.now();
    const ms = Math.max(0, Math.min(this.#ms, this.#until - now));
    this.#due = now + ms;
    this.#timer = setTimeout(() => {
      if (this.#granted || performance.now() - this.#due <= LATE_MS) this.#read = setImmediate(this.#expired);
      else {
        this.#granted = true;
        this.#start();
      }
    }, ms);
    this.#timer.unref();
  }
}
