/**
 * The watches that a shared stream has to create. Only so many are under way at a time: a watch that comes later does
 * not wait for thousands. New ones and those that were there before, on another stream, take turns.
 */

import { UniqueQueue } from '../unique-queue.ts';
import type { Seat } from './seat.ts';

/** Creates that etcd has not answered. */
const UNDER_WAY = 128;

export class CreateLine {
  readonly #send: (seat: Seat) => void;
  readonly #fresh = new UniqueQueue<Seat>();
  readonly #again = new UniqueQueue<Seat>();
  readonly #sent = new UniqueQueue<Seat>();
  #lastWasFresh = false;

  /** @param send writes the request */
  constructor(send: (seat: Seat) => void) {
    this.#send = send;
  }

  /** Seats whose watch etcd has not answered for. */
  get length(): number {
    return this.#fresh.size + this.#again.size + this.#sent.size;
  }

  /** Whether one more would have to wait. */
  get isFull(): boolean {
    return this.length >= UNDER_WAY;
  }

  /** @param fresh whether somebody waits for a watch that was not there before */
  add(seat: Seat, fresh: boolean): void {
    (fresh ? this.#fresh : this.#again).add(seat);
    this.#fill();
  }

  /** A seat that was not asked for is given up. It is not to wait for its turn, which may never come while etcd answers nothing. */
  leave(seat: Seat): void {
    if (!this.#fresh.delete(seat)) this.#again.delete(seat);
  }

  /** etcd answers creates in their order. @returns whose watch the answer is about */
  onAnswer(): Seat | undefined {
    const seat = this.#sent.take();
    if (seat !== undefined) this.#fill();
    return seat;
  }

  #fill(): void {
    while (this.#sent.size < UNDER_WAY) {
      const seat = this.#next();
      if (seat === undefined) return;
      // One that could not be taken out of the line is not created at all.
      if (seat.left) continue;
      seat.sent = true;
      this.#sent.add(seat);
      this.#send(seat);
    }
  }

  #next(): Seat | undefined {
    const [first, other] = this.#lastWasFresh ? [this.#again, this.#fresh] : [this.#fresh, this.#again];
    const seat = first.take() ?? other.take();
    this.#lastWasFresh = !this.#lastWasFresh;
    return seat;
  }
}
