/**
 * Bounds what watches that begin in the past look through, of what feeds remember, in one turn of the event loop. A watch does so
 * in one go; but very many may come in one turn, each for keys of which nothing is remembered, so that it looks through all.
 */
import type { TurnTaker } from './semaphore.ts';
import { UniqueQueue } from './unique-queue.ts';

/** Events that are looked at in one turn before others have theirs: up to a millisecond. */
const PAST_EVENTS_PER_TURN = 8192;

export class TurnVisits {
  readonly #waiting = new UniqueQueue<TurnTaker>();
  readonly #onFault: (error: unknown) => void;
  #left = PAST_EVENTS_PER_TURN;
  #turn: NodeJS.Immediate | undefined;

  /** @param onFault a fault here is nobody's who waits: they have their turn after it */
  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault;
  }

  /** So many events were looked at. */
  spend(events: number): void {
    this.#left -= events;
    this.#turn ??= setImmediate(() => this.#next());
  }

  /** Whether a watch may begin in this turn; otherwise the waiter is called in a later one, and asks anew. It does not throw. */
  admits(waiter: TurnTaker): boolean {
    if (this.#left > 0) return true;
    this.#waiting.add(waiter);
    return false;
  }

  /** Has nothing to begin any more. */
  leave(waiter: TurnTaker): void {
    this.#waiting.delete(waiter);
  }

  #next(): void {
    this.#turn = undefined;
    this.#left = PAST_EVENTS_PER_TURN;
    try {
      if (!this.#serve()) return;
    } catch (error) {
      this.#onFault(error);
    }
    this.#turn ??= setImmediate(() => this.#next());
  }

  /** Those that wait have the turn one after the other, as far as it goes. @returns whether there are more */
  #serve(): boolean {
    while (this.#left > 0) {
      const waiter = this.#waiting.first;
      if (waiter === undefined) return false;
      this.#waiting.delete(waiter);
      waiter.onTurn();
    }
    return this.#waiting.size > 0;
  }
}
