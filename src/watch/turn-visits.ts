/**
 * What watches that begin in the past look through of what feeds remember, in one turn of the event loop. One of them is done at a
 * time, since its client is told of it at once; but very many may come in one turn, each for what is nowhere in it.
 */
import { UniqueQueue } from './unique-queue.ts';

/** Events that are looked at in one turn before others have theirs: less than half a millisecond. */
const PAST_EVENTS_PER_TURN = 8192;

/** Has watches to begin. */
export interface VisitsWaiter {
  /** There are visits again: it asks for them anew. Does not throw. */
  onVisits(): void;
}

export class TurnVisits {
  readonly #waiting = new UniqueQueue<VisitsWaiter>();
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

  /** Whether a watch may begin in this turn; otherwise the waiter is called in a later one. */
  admits(waiter: VisitsWaiter): boolean {
    if (this.#left > 0) return true;
    this.#waiting.add(waiter);
    return false;
  }

  /** Has nothing to begin any more. */
  leave(waiter: VisitsWaiter): void {
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
    for (let waiter = this.#waiting.first; waiter !== undefined && this.#left > 0; ) {
      this.#waiting.delete(waiter);
      waiter.onVisits();
      waiter = this.#waiting.first;
    }
    return this.#waiting.size > 0;
  }
}
