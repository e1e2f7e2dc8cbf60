/**
 * What one connection may have on the carriers of an identity. Carriers take heartbeats in the order in which they come; so
 * that nobody waits long because of the many streams of somebody else, what is too much stays with these streams, which
 * take turns.
 */
import type { HeartbeatRefusal } from './heartbeat.ts';
import type { LeaseStats } from './stats.ts';

/** Heartbeats of one connection that are on carriers: another connection's waits behind so many of it at most. */
export const MAX_OF_CONNECTION = 256;

/** A stream of the connection, with heartbeats that wait. */
export interface WaitingStream {
  /** Sends one, which has a place. @returns whether more wait */
  sendNext(): boolean;
  /** Whether one may be sent; otherwise none waits any more. */
  maySend(): boolean;
  /** What waits would meet the same as what was sent. */
  refuse(refusal: HeartbeatRefusal): void;
}

/** Nothing is ever put in here: hardly any connection needs turns. */
const NONE = new Set<WaitingStream>();

export class Share {
  readonly #stats: LeaseStats;
  /** How many are on carriers. */
  #taken = 0;
  /** In the order of their turns. There are some only while all places are taken, or are being given away. */
  #waiting = NONE;
  /** Goes through those that wait. */
  #isBusy = false;

  constructor(stats: LeaseStats) {
    this.#stats = stats;
  }

  /** Takes a place for a heartbeat. `false`: there is none, and it is the stream's turn later. */
  take(sharer: WaitingStream): boolean {
    if (this.#taken < MAX_OF_CONNECTION && this.#waiting.size === 0) {
      this.#taken++;
      return true;
    }
    if (this.#waiting.size === 0) this.#stats.limits.connection++;
    if (this.#waiting === NONE) this.#waiting = new Set();
    this.#waiting.add(sharer);
    return false;
  }

  /** A stream waits no longer. */
  forget(sharer: WaitingStream): void {
    this.#waiting.delete(sharer);
  }

  /** Tells all that wait. */
  refuseAll(refusal: HeartbeatRefusal): void {
    // Streams that end give places back, which nobody shall take now.
    this.#isBusy = true;
    for (const sharer of this.#waiting) {
      this.#waiting.delete(sharer);
      sharer.refuse(refusal);
    }
    this.#isBusy = false;
  }

  /** So many are on carriers no longer. */
  giveBack(count: number): void {
    this.#taken -= count;
    if (this.#waiting.size === 0 || this.#isBusy) return;
    this.#isBusy = true;
    for (const sharer of this.#waiting) {
      if (this.#taken >= MAX_OF_CONNECTION) break;
      this.#waiting.delete(sharer);
      if (!sharer.maySend()) continue;
      this.#taken++;
      // Added anew, it comes last, and this loop gets to it.
      if (sharer.sendNext()) this.#waiting.add(sharer);
    }
    this.#isBusy = false;
  }
}
