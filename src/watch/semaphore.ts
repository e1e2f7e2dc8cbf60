/**
 * Lets a few of many begin at a time. A catch-up brings as much as etcd gives at once before it is known whether its
 * client reads; very many that begin together would be more than the histories may ever hold.
 */

import { UniqueQueue } from './unique-queue.ts';

/** Waits for its turn. */
export interface TurnTaker {
  onTurn(): void;
}

export class Semaphore {
  readonly #limit: number;
  readonly #ms: number;
  readonly #taken = new Map<TurnTaker, NodeJS.Timeout>();
  readonly #waiting = new UniqueQueue<TurnTaker>();

  /**
   * @param limit turns that may be taken at a time
   * @param ms after so many milliseconds a turn is over, so that one that gets no answer does not hold up the others
   */
  constructor(limit: number, ms: number) {
    this.#limit = limit;
    this.#ms = ms;
  }

  /** Takes a turn, or stands in line for one and is called back. @returns whether it is its turn */
  take(taker: TurnTaker): boolean {
    if (this.#taken.has(taker)) return true;
    if (this.#taken.size >= this.#limit) {
      this.#waiting.add(taker);
      return false;
    }
    this.#taken.set(
      taker,
      setTimeout(() => this.leave(taker), this.#ms),
    );
    return true;
  }

  /** The turn is over, or not wanted any more. Does nothing where there is none. */
  leave(taker: TurnTaker): void {
    this.#waiting.delete(taker);
    const timer = this.#taken.get(taker);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#taken.delete(taker);
    const next = this.#waiting.take();
    if (next !== undefined && this.take(next)) next.onTurn();
  }
}
