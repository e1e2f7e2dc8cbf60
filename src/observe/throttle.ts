/**
 * Keeps what strangers can cause from filling the log.
 */

/** Lines of a kind that strangers, a broken etcd or a fault may cause without end: one in this many milliseconds. */
export const QUIET_MS = 60_000;

/** Lets one line through in a period, and counts the others. */
export class Throttle {
  readonly #periodMs: number;
  #quietUntil = 0;
  #suppressed = 0;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Calls `write` with the number of lines left out since the last one (undefined: none), or counts one more. */
  line(write: (suppressed: number | undefined) => void): void {
    const now = performance.now();
    if (now < this.#quietUntil) {
      this.#suppressed++;
      return;
    }
    write(this.#suppressed || undefined);
    this.#quietUntil = now + this.#periodMs;
    this.#suppressed = 0;
  }
}

/** Kinds that are told apart; the ones beyond share a throttle. */
const MAX_KINDS = 256;

/** A throttle for each kind of line, so that none hides another. */
export class Throttles {
  readonly #periodMs: number;
  readonly #byKind = new Map<string, Throttle>();
  readonly #others: Throttle;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
    this.#others = new Throttle(periodMs);
  }

  /** As {@link Throttle.line}, for lines of this kind. */
  line(kind: string, write: (suppressed: number | undefined) => void): void {
    let throttle = this.#byKind.get(kind);
    if (throttle === undefined) {
      throttle = this.#byKind.size < MAX_KINDS ? new Throttle(this.#periodMs) : this.#others;
      if (throttle !== this.#others) this.#byKind.set(kind, throttle);
    }
    throttle.line(write);
  }
}
