/**
 * Whether the answers on a carrier are prompt. etcd serves a stream one heartbeat at a time, and a follower asks the leader
 * for each, so that what comes behind waits; on more streams it does not. No heartbeat has a time: what is looked at, at
 * each tick, is how many were answered since the one before.
 */
/** Faster than so many in a millisecond, it is not the stream that keeps heartbeats waiting. */
const FAST = 1;

/** Unless there is no end of it for so many ticks. */
const LONG_TICKS = 12;

/** So many ticks in a row have to say the same: one late answer is none of many. */
const SLOW_TICKS = 3;

/** What a carrier has to do. */
export interface Progress {
  /** Heartbeats that were answered, or left it in another way. */
  readonly done: number;
  /** Heartbeats on it that were not. */
  readonly size: number;
}

export class Promptness {
  readonly #carrier: Progress;
  #done = 0;
  /** What will be done when all that was there at the latest tick is. */
  #due = 0;
  #slow = 0;
  #old = 0;

  constructor(carrier: Progress) {
    this.#carrier = carrier;
  }

  /**
   * Looks at the carrier.
   * @param ms since the tick before
   * @returns whether answers are late because heartbeats wait for each other
   */
  onTick(ms: number): boolean {
    const { done, size } = this.#carrier;
    const answered = done - this.#done;
    const isOld = done < this.#due;
    this.#done = done;
    this.#due = done + size;
    if (!isOld) {
      this.#slow = 0;
      this.#old = 0;
    } else if (answered > 0) {
      // Where nothing at all is answered, etcd or the way to it stands still, and would on any stream.
      this.#old++;
      if (answered < FAST * ms || this.#old >= LONG_TICKS) this.#slow++;
    }
    return this.#slow >= SLOW_TICKS;
  }
}
