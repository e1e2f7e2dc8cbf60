/** A clock for all that wait for answers, in place of a time for each heartbeat. It stands still while nobody waits. */

/** Between two ticks, in milliseconds. On a busy machine it is longer. */
export const TICK_MS = 20;

/** A tick that comes so much too late has to wait until what came meanwhile is read. Milliseconds. */
const LATE_MS = TICK_MS / 2;

/** Looks at the clock. */
export interface Ticking {
  /**
   * @param ms since the tick before
   * @returns whether it wants to hear the next one
   */
  onTick(ms: number): boolean;
}

export class Ticker {
  readonly #waiting = new Set<Ticking>();
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #last = 0;

  /** Calls from the next tick on, as long as it is wanted. */
  add(ticking: Ticking): void {
    this.#waiting.add(ticking);
    if (this.#timer === undefined) this.#arm(performance.now());
  }

  /** Never calls again. */
  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#waiting.clear();
  }

  #arm(now: number): void {
    this.#last = now;
    this.#timer = setTimeout(() => this.#tick(), TICK_MS).unref();
  }

  #tick(): void {
    // The proxy may have stood still itself: then there are answers that it has not read yet.
    if (performance.now() < this.#last + TICK_MS + LATE_MS) this.#tell();
    else this.#soon = setImmediate(() => this.#tell());
  }

  #tell(): void {
    this.#timer = undefined;
    const now = performance.now();
    const ms = now - this.#last;
    for (const ticking of this.#waiting) if (!ticking.onTick(ms)) this.#waiting.delete(ticking);
    if (this.#waiting.size > 0) this.#arm(now);
  }
}
