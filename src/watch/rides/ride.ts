/**
 * A feed's watch on etcd: on a seat of a shared stream, or on a stream of its own. It may move from one seat to another, and
 * the feed does not notice:
 *
 *   to what comes next:  its seat ───── events ────┬─ etcd says "everything up to R" ─▶ left
 *                        the other ── created at C ┴ events, held back ──── R ≥ C ────▶ what was held, then the rest
 *
 * Events that come twice are known to the feed by their revision.
 */

import type { OwnWatch } from '../../etcd/watch-request.ts';
import type { WatchResponse } from '../../etcd/watch-response.ts';
import type { Status } from '../../rpc/status.ts';
import type { HeldBytes } from '../held-bytes.ts';
import { FAULT } from '../terminal.ts';
import type { UpstreamWatch, UpstreamWatchOwner } from '../upstream-watch.ts';
import { FULL } from './company.ts';
import { NotificationInterval } from './notification-interval.ts';
import type { MoveOwner, Seat, SeatOwner, SeatSource, StreamEnd } from './seat.ts';

/** The feed's side. */
export interface RideOwner extends UpstreamWatchOwner {
  /** Everything up to here is known. */
  readonly applied: number;
  /** Whether it only brings watchers up to another feed: then it does not last, and does not move. */
  readonly catchesUp: boolean;
  /** How many may share a stream with it. */
  company: number;
}

/** Who gives rides. */
export interface RideHost {
  readonly held: HeldBytes;
  /** The interval between two notifications of etcd, in milliseconds. */
  onGap(ms: number): void;
  /** The ride has moved. */
  onMoved(): void;
  /** The ride is over. */
  onOver(ride: Ride): void;
  /** The stream of its own is gone. @param lost the member that it was on, where etcd ended it */
  onAloneGone(lost?: string): void;
}

/** A seat that a ride may move to. */
interface Move {
  readonly seat: Seat;
  /** Undefined where it moves as soon as etcd has the watch. */
  readonly drain: MoveOwner | undefined;
  /** etcd's revision when it had the watch; zero until then. */
  revision: number;
  readonly held: WatchResponse[];
  bytes: number;
}

/** A move of which nothing came is tried again after so many milliseconds. */
const AGAIN_MS = 1000;

export class Ride implements SeatOwner, UpstreamWatchOwner {
  readonly watch: OwnWatch;
  readonly owner: RideOwner;
  /** Whether somebody waits for a watch that was not there before. */
  readonly fresh: boolean;
  readonly #host: RideHost;
  #seat: Seat | undefined;
  #alone: UpstreamWatch | undefined;
  #member = '';
  readonly #silence = new NotificationInterval();
  #move: Move | undefined;
  /** It does not move before this, in milliseconds of `performance.now()`. */
  #movesAt = 0;
  /** The latest that etcd has said, in the order in which the owner heard of it. */
  #revision = 0;
  #over = false;
  /** Its owner hears no more. */
  #isSilent = false;

  constructor(host: RideHost, watch: OwnWatch, owner: RideOwner, fresh: boolean) {
    this.#host = host;
    this.watch = watch;
    this.owner = owner;
    this.fresh = fresh;
  }

  /** It rides on a shared stream. */
  sit(seat: Seat): void {
    this.#seat = seat;
  }

  /** It has a stream of its own. */
  rideAlone(watch: UpstreamWatch): void {
    this.#alone = watch;
  }

  /** No stream can be had for it. */
  refuse(status: Status): void {
    if (this.#over) return;
    this.#finish();
    this.#isSilent = true;
    this.owner.onEnd(status);
  }

  /** Asks etcd how far the watch has come. It may not answer. */
  requestProgress(): void {
    this.#alone?.requestProgress();
    this.#seat?.stream.ask(this.#seat);
  }

  /** Reads no more of what etcd sends, until {@link resume}. @returns whether it can, which no watch can that has company */
  pause(): boolean {
    this.#alone?.pause();
    return this.#alone !== undefined;
  }

  resume(): void {
    this.#alone?.resume();
  }

  /** Gives the watch up; the owner hears no more. */
  cancel(): void {
    if (this.#over) return;
    this.#isSilent = true;
    this.#finish();
    this.#seat?.stream.leave(this.#seat);
    if (this.#alone === undefined) return;
    this.#alone.cancel();
    this.#host.onAloneGone();
  }

  /** @param seat the one that it is about; undefined on a stream of its own */
  onResponse(response: WatchResponse, seat?: Seat): void {
    if (this.#over) return;
    if (seat !== this.#seat) {
      if (seat === this.#move?.seat) this.#onMoveResponse(response, this.#move as Move);
      return;
    }
    if (seat === undefined) this.#onResponseAlone(response);
    else if (this.#isOld(response)) {
      if (response.watchId < 0) seat.stream.ask(seat);
      return;
    } else if (response.canceled) this.#finish();
    this.owner.onResponse(response);
  }

  /**
   * Whether all of it is known. What two streams say is in no order, so that the one which a ride has moved to may still say
   * what the other one has told already, at an earlier revision.
   */
  #isOld({ header, events, created, canceled }: WatchResponse): boolean {
    if (header.revision < this.#revision && !created && !canceled)
      return (events.at(-1)?.revision ?? 0) <= this.owner.applied;
    this.#revision = Math.max(this.#revision, header.revision);
    return false;
  }

  /** The stream of its own is over. */
  onEnd(status: Status): void {
    if (this.#over) return;
    this.#finish();
    this.#host.onAloneGone(this.#member);
    this.#isSilent = true;
    this.owner.onEnd(status);
  }

  onStreamEnd({ status, company, told }: StreamEnd, seat: Seat): void {
    if (seat === this.#move?.seat) {
      this.#giveUp(AGAIN_MS);
      return;
    }
    if (this.#over) return;
    if (told !== undefined && seat.counts(told.header.revision)) this.#tell(told);
    // What it was told may have ended it.
    if (this.#over) return;
    this.#finish();
    this.owner.company = company;
    this.#isSilent = true;
    this.owner.onEnd(status);
  }

  onFault(): void {
    if (this.#isSilent) return;
    this.#isSilent = true;
    try {
      if (!this.#over) this.#finish();
    } finally {
      this.owner.onEnd(FAULT);
    }
  }

  has(seat: Seat): boolean {
    return seat === this.#seat || seat === this.#move?.seat;
  }

  get wantsToMove(): boolean {
    if (this.#over || this.#move !== undefined || this.owner.catchesUp) return false;
    return this.#seat !== undefined && this.#seat.createdAt > 0 && performance.now() >= this.#movesAt;
  }

  moveToLive(to: SeatSource, drain: MoveOwner): void {
    this.#begin(to, 0, drain);
  }

  moveToPast(to: SeatSource): void {
    if (this.#move === undefined && performance.now() >= this.#movesAt)
      this.#begin(to, this.owner.applied + 1, undefined);
  }

  arrive(told: WatchResponse): boolean {
    const move = this.#move;
    const { revision } = told.header;
    if (move === undefined || move.revision === 0 || move.revision > revision) return false;
    if (!this.#seat?.counts(revision)) return false;
    this.#tell(told);
    if (this.#move === move) this.#switch(move);
    return true;
  }

  /** etcd says how far the stream is, and the owner has not asked. */
  #tell(told: WatchResponse): void {
    if (told.header.revision > this.owner.applied && !this.#isOld(told)) this.owner.onResponse(told);
  }

  #onResponseAlone({ header, created, events, watchId }: WatchResponse): void {
    this.#member = header.member || this.#member;
    if (created) this.#silence.begin();
    else if (events.length > 0) this.#silence.onEvents();
    else if (watchId >= 0) {
      const gap = this.#silence.onNotification();
      if (gap !== undefined) this.#host.onGap(gap);
    }
  }

  #begin(to: SeatSource, start: number, drain: MoveOwner | undefined): void {
    try {
      const seat = to.take({ ...this.watch, start }, this);
      this.#move = { seat, drain, revision: 0, held: [], bytes: 0 };
    } catch (error) {
      to.forsake(this);
      throw error;
    }
  }

  #onMoveResponse(response: WatchResponse, move: Move): void {
    if (response.canceled) {
      // A client whose token is worth nothing any more keeps the watch that it has.
      this.#giveUp(response.compactRevision > 0 ? AGAIN_MS : Number.POSITIVE_INFINITY);
    } else if (response.created) {
      move.revision = response.header.revision;
      if (move.drain === undefined) this.#switch(move);
      else move.drain.onReady(this);
    } else if (response.events.length > 0) {
      if (!this.#host.held.take(response.size)) {
        this.#giveUp(AGAIN_MS);
        return;
      }
      move.bytes += response.size;
      move.held.push(response);
    }
  }

  /** The other seat is the one now; what it has brought comes after all that the old one has. */
  #switch({ seat, held, bytes, drain }: Move): void {
    const old = this.#seat;
    this.#move = undefined;
    this.#seat = seat;
    this.#host.held.release(bytes);
    this.#host.onMoved();
    if (drain !== undefined) this.owner.company = FULL;
    old?.stream.leave(old);
    for (const response of held) this.onResponse(response, seat);
  }

  #giveUp(ms: number): void {
    const move = this.#move;
    if (move === undefined) return;
    this.#move = undefined;
    this.#movesAt = performance.now() + ms;
    this.#host.held.release(move.bytes);
    move.seat.stream.leave(move.seat);
    move.drain?.onGivenUp(this);
  }

  #finish(): void {
    this.#over = true;
    this.#giveUp(0);
    this.#host.onOver(this);
  }
}
