/** A watch on a stream to etcd that others share: its number there, and how far etcd has come with it. */

import type { OwnWatch } from '../../etcd/watch-request.ts';
import type { WatchResponse } from '../../etcd/watch-response.ts';
import type { Status } from '../../rpc/status.ts';
import { NotificationInterval } from './notification-interval.ts';

/** How a stream ended, and how many of its seats may be together on another one. */
export interface StreamEnd {
  readonly status: Status;
  readonly company: number;
  /** etcd's latest answer to a question about the stream. */
  readonly told: WatchResponse | undefined;
}

/** Where seats are taken. */
export interface SeatSource {
  take(watch: OwnWatch, owner: SeatOwner): Seat;
  /** A fault came in the way while a seat was taken: gives up what the owner does not know of. */
  forsake(owner: SeatOwner): void;
}

/** Whom a seat was taken for. It may move to another one. */
export interface SeatOwner {
  /** Everything that etcd says of the watch, and of the whole stream where it counts for the watch. */
  onResponse(response: WatchResponse, seat: Seat): void;
  /** The stream is over, and the seat with it. */
  onStreamEnd(end: StreamEnd, seat: Seat): void;
  /** It could not be told of the end of a stream. */
  onFault(): void;
  /** Whether it knows of a seat that was taken for it. */
  has(seat: Seat): boolean;
  /** Whether it should leave its seat for one on a stream of watches that are in step. */
  readonly wantsToMove: boolean;
  /** Takes a seat for what comes next; it moves there by {@link arrive}, and whoever drains its stream hears of it. */
  moveToLive(to: SeatSource, drain: MoveOwner): void;
  /** Takes a seat on another stream for watches of the past, and moves there at once when etcd has the watch. */
  moveToPast(to: SeatSource): void;
  /** Its seat has had everything up to the revision of this answer of etcd. @returns whether it has moved */
  arrive(told: WatchResponse): boolean;
}

/** Hears how far moves are. */
export interface MoveOwner {
  /** etcd has the new watch. */
  onReady(owner: SeatOwner): void;
  /** Nothing comes of it for now. */
  onGivenUp(owner: SeatOwner): void;
}

/** The stream, as the seat's owner sees it. */
export interface SeatStream {
  /** Gives a seat up: its owner hears no more. */
  leave(seat: Seat): void;
  /** Asks etcd how far it has come, for a seat whose watch etcd has. */
  ask(seat: Seat): void;
}

export class Seat {
  readonly stream: SeatStream;
  /** The number of the watch on its stream. */
  readonly id: number;
  readonly watch: OwnWatch;
  readonly owner: SeatOwner;
  /** The request for it was sent. */
  sent = false;
  /** etcd's revision when it had the watch; zero until it has said so. */
  createdAt = 0;
  /** How many questions etcd had answered on the stream when it said so: those answers say nothing of this watch. */
  answersBefore = 0;
  /** Its owner wants no more of it. */
  left = false;
  /** It had events since somebody looked. */
  busy = false;
  readonly silence = new NotificationInterval();

  constructor(stream: SeatStream, id: number, watch: OwnWatch, owner: SeatOwner) {
    this.stream = stream;
    this.id = id;
    this.watch = watch;
    this.owner = owner;
  }

  /** Whether what etcd says of the whole stream at a revision counts for this watch: it knows the watch, and had it then. */
  counts(revision: number): boolean {
    return this.createdAt > 0 && this.createdAt <= revision;
  }
}
