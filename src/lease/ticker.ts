/** A clock for all that wait for answers, in place of a time for each heartbeat. It stands still while nobody waits. */

/** Between two ticks, in milliseconds. */
export const TICK_MS = 20;

/** A tick that comes so much too late says nothing of etcd: the proxy stood still. Milliseconds. */
const LATE_MS = TICK_MS / 2;

/** Looks at the clock. */
export interface Ticking {
  /** @returns whether it wants to hear the next one */
  onTick(): boolean;
}

export class Ticker {
  readonly #waiting = new Set<Ticking>();
  #timer: NodeJS.Timeout | undefined;
  #due = 0;

  /** Calls from the next tick on, as long as it is wanted. */
  add(ticking: Ticking): void {
    this.#waiting.add(ticking);
    if (this.#timer === undefined) this.#arm();
  }

  /** Never calls again. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #arm(): void {
    this.#due = performance.now() + TICK_MS;
    this.#timer = setTimeout(() => this.#tick(), TICK_MS).unref();
  }

  #tick(): void {
    this.#timer = undefined;
    if (performance.now() < this.#due + LATE_MS)
      for (const ticking of this.#waiting) if (!ticking.onTick()) this.#waiting.delete(ticking);
    if (this.#waiting.size > 0) this.#arm();
  }
}
