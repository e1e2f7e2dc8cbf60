/**
 * The watches that a shared stream has to create. Only so many are under way at a time: a watch that comes later does
 * not wait for thousands. New ones and those that were there before, on another stream, take turns.
 */

import type { Seat } from './seat.ts';

/** Creates that etcd has not answered. */
const UNDER_WAY = 128;

/** Seats in the order in which they came; taking the first costs the same however many there are. */
class Queue {
  #seats: Seat[] = [];
  #head = 0;

  push(seat: Seat): void {
    this.#seats.push(seat);
  }

  /** The first seat, which leaves the queue. */
  shift(): Seat | undefined {
    const seat = this.#seats[this.#head];
    if (seat === undefined) return undefined;
    if (++this.#head === this.#seats.length) {
      this.#seats = [];
      this.#head = 0;
    }
    return seat;
  }
}

export class CreateLine {
  readonly #send: (seat: Seat) => void;
  readonly #fresh = new Queue();
  readonly #again = new Queue();
  readonly #sent = new Queue();
  #waiting = 0;
  #underWay = 0;
  #lastWasFresh = false;

  /** @param send writes the request */
  constructor(send: (seat: Seat) => void) {
    this.#send = send;
  }

  /** Seats whose watch etcd has not answered for. */
  get length(): number {
    return this.#waiting + this.#underWay;
  }

  /** Whether one more would have to wait. */
  get isFull(): boolean {
    return this.length >= UNDER_WAY;
  }

  /** @param fresh whether somebody waits for a watch that was not there before */
  add(seat: Seat, fresh: boolean): void {
    this.#waiting++;
    (fresh ? this.#fresh : this.#again).push(seat);
    this.#fill();
  }

  /** etcd answers creates in their order. @returns whose watch the answer is about */
  onAnswer(): Seat | undefined {
    const seat = this.#sent.shift();
    if (seat === undefined) return undefined;
    this.#underWay--;
    this.#fill();
    return seat;
  }

  #fill(): void {
    while (this.#underWay < UNDER_WAY) {
      const seat = this.#next();
      if (seat === undefined) return;
      this.#waiting--;
      // One that was left before its turn is not created at all.
      if (seat.left) continue;
      this.#underWay++;
      seat.sent = true;
      this.#sent.push(seat);
      this.#send(seat);
    }
  }

  #next(): Seat | undefined {
    const [first, other] = this.#lastWasFresh ? [this.#again, this.#fresh] : [this.#fresh, this.#again];
    const seat = first.shift() ?? other.shift();
    this.#lastWasFresh = !this.#lastWasFresh;
    return seat;
  }
}
