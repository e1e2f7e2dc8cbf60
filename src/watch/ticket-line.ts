/**
 * The requests of one client stream, answered in the order in which they came. What etcd decides at once may take the
 * proxy a read first, so each waits until that is done and the one before it is answered.
 */

import type { WatchRequest } from '../etcd/watch-request.ts';
import type { ServerStream } from '../rpc/contract.ts';
import type { IdentityFeeds } from './identity-feeds.ts';
import { Ticket, type TicketOwner } from './request-ticket.ts';
import type { TurnTaker } from './semaphore.ts';
import type { Circles } from './sharing/circles.ts';
import type { TurnVisits } from './turn-visits.ts';

/** Requests of one stream that may wait; with more, the client is not read. */
const MAX_WAITING = 32;

/** The stream that the requests came on. */
export interface TicketLineOwner {
  readonly feeds: IdentityFeeds;
  readonly circles: Circles;
  /** Whether a request can be answered now. */
  readonly mayAnswer: boolean;
  /** Answers the request that is first in line. @returns whether a watch comes of it */
  answer(ticket: Ticket): boolean;
  /** A request cannot be answered: ends the stream. */
  onFault(error: unknown): void;
}

export class TicketLine implements TicketOwner, TurnTaker {
  readonly #owner: TicketLineOwner;
  readonly #client: ServerStream;
  readonly #visits: TurnVisits;
  #line: Ticket[] = [];
  #paused = false;

  /** @param visits what watches from the past may look through in one turn */
  constructor(owner: TicketLineOwner, client: ServerStream, visits: TurnVisits) {
    this.#owner = owner;
    this.#client = client;
    this.#visits = visits;
  }

  get feeds(): IdentityFeeds {
    return this.#owner.feeds;
  }

  get circles(): Circles {
    return this.#owner.circles;
  }

  get isEmpty(): boolean {
    return this.#line.length === 0;
  }

  /** Takes a request. @param bytes its size */
  add(request: WatchRequest, bytes: number): void {
    const ticket = new Ticket(this, request, bytes);
    this.#client.hold(bytes);
    this.#line.push(ticket);
    ticket.start();
    if (this.#line.length > MAX_WAITING && !this.#paused) {
      this.#paused = true;
      this.#client.pause();
    }
    if (ticket.ready) this.advance();
  }

  /** Answers the requests at the head of the line that can be answered. */
  advance(): void {
    while (this.#owner.mayAnswer) {
      const ticket = this.#line[0];
      if (ticket === undefined || !ticket.ready || !this.#visits.admits(this)) break;
      this.#line.shift();
      this.#answer(ticket);
    }
    if (this.#paused && this.#line.length < MAX_WAITING / 2) {
      this.#paused = false;
      this.#client.resume();
    }
  }

  /** A fault in the answer must not keep what the ticket waited for. */
  #answer(ticket: Ticket): void {
    let watches = true;
    try {
      this.#client.hold(-ticket.bytes);
      watches = this.#owner.answer(ticket);
    } finally {
      if (watches) ticket.finish();
      else ticket.cancel();
    }
  }

  onTurn(): void {
    this.onSettled();
  }

  onSettled(): void {
    try {
      this.advance();
    } catch (error) {
      this.onFault(error);
    }
  }

  onFault(error: unknown): void {
    this.#owner.onFault(error);
  }

  /** The stream is over: none is answered any more. */
  close(): void {
    for (const ticket of this.#line) {
      ticket.cancel();
      this.#client.hold(-ticket.bytes);
    }
    this.#line = [];
    this.#visits.leave(this);
  }
}
