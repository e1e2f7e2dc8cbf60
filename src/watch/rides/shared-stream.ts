/**
 * One stream to etcd with many watches on it, a number each, which is never used again: events left over from a watch
 * that was cancelled would reach the next one of its number.
 *
 *   take() ─▶ CreateLine ─▶ etcd ─▶ created ─▶ events, progress ─▶ Seat ─▶ its owner
 *
 * A progress response is about all watches of the stream, and may overtake the events of one whose `created` has not
 * come; it is for those whose `created` came before.
 */

import { cancelRequest, createRequest, type OwnWatch, PROGRESS_REQUEST } from '../../etcd/watch-request.ts';
import type { WatchResponse } from '../../etcd/watch-response.ts';
import type { ClientStream, ClientStreamListener, PartSink } from '../../rpc/contract.ts';
import { RpcError, type Status } from '../../rpc/status.ts';
import { ResponseAssembly, watchFailureOf } from '../response-assembly.ts';
import { FAULT } from '../terminal.ts';
import { CreateLine } from './create-line.ts';
import { Seat, type SeatOwner, type SeatStream, type StreamEnd } from './seat.ts';
import type { SharedStreamOwner } from './shared-stream-owner.ts';
import { type QuestionedStream, StreamQuestions } from './stream-questions.ts';

export class SharedStream implements ClientStreamListener, PartSink, SeatStream, QuestionedStream {
  /** How many seats it has at most. */
  readonly limit: number;
  readonly openedAt = performance.now();
  readonly questions = new StreamQuestions(this);
  readonly line = new CreateLine((seat) => this.#stream.send(createRequest(seat.watch, seat.id)));
  readonly #owner: SharedStreamOwner<SharedStream>;
  readonly #stream: ClientStream;
  readonly #assembly: ResponseAssembly;
  readonly #seats = new Map<number, Seat>();
  /** The seats that asked how far etcd is. */
  #asked = new Set<Seat>();
  readonly #beat: NodeJS.Timeout;
  #lastId = 0;
  #member = '';
  /** etcd's latest answer to a question. */
  #told: WatchResponse | undefined;
  /** Questions that it has answered. */
  #answers = 0;
  /** etcd has notified watches of their progress, and not answered a question since. */
  #notified = false;
  #isStale = false;
  #over = false;

  /** @param beatMs how often {@link SharedStreamOwner.onBeat} is called */
  constructor(owner: SharedStreamOwner<SharedStream>, limit: number, beatMs: number) {
    this.#owner = owner;
    this.limit = limit;
    this.#assembly = new ResponseAssembly(owner.assembly, (response) => this.#onResponse(response));
    this.#stream = owner.open(this);
    this.#beat = setInterval(() => this.guard(() => owner.onBeat(this)), beatMs);
    this.#beat.unref();
  }

  get size(): number {
    return this.#seats.size;
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** How many watches it ever had. */
  get used(): number {
    return this.#lastId;
  }

  get seats(): Iterable<Seat> {
    return this.#seats.values();
  }

  /** The member that it is on, once that has said something. */
  get member(): string {
    return this.#member;
  }

  get mayAsk(): boolean {
    return !this.#over && this.#owner.mayAsk(this);
  }

  get wantsAnswer(): boolean {
    return this.#asked.size > 0 || this.#notified || this.#isStale || this.#owner.wantsAnswer(this);
  }

  /** Takes a seat for a watch. @param fresh whether somebody waits for a watch that was not there before */
  take(watch: OwnWatch, owner: SeatOwner, fresh: boolean): Seat {
    const seat = new Seat(this, ++this.#lastId, watch, owner);
    this.#seats.set(seat.id, seat);
    this.line.add(seat, fresh);
    return seat;
  }

  leave(seat: Seat): void {
    if (seat.left) return;
    this.#forget(seat);
    if (this.#over) return;
    if (seat.sent) this.#stream.send(cancelRequest(seat.id));
    else this.line.leave(seat);
    this.#owner.onLeft(this);
  }

  ask(seat: Seat): void {
    if (seat.left || seat.createdAt === 0 || this.#asked.has(seat)) return;
    this.#asked.add(seat);
    this.questions.want();
  }

  sendQuestion(): void {
    this.#stream.send(PROGRESS_REQUEST);
  }

  /** Nobody needs it any more. */
  close(): void {
    if (this.#over) return;
    this.#finish();
    this.#stream.cancel();
  }

  /** Gives it up; its seats end as with a stream that was lost. */
  disband(status: Status): void {
    if (this.#over) return;
    this.#stream.cancel();
    this.onEnd(status);
  }

  onHeaders(): void {
    // etcd's answer begins with its first message.
  }

  onMessage(message: Uint8Array): void {
    if (!this.#over) this.guard(() => this.#assembly.onMessage(message));
  }

  get parts(): PartSink {
    return this;
  }

  onPart(part: Buffer, left: number): void {
    if (!this.#over) this.guard(() => this.#assembly.onPart(part, left));
  }

  onDrain(): void {
    // Requests are few and small; none is held back.
  }

  /** Tells all at once, and what etcd has said of its progress first: they go on from there. */
  onEnd(status: Status): void {
    if (this.#over) return;
    this.#finish();
    const seats = [...this.#seats.values()];
    const end = { ...this.#owner.onOver(this, status), told: this.#told };
    // An answer may come before `created` and events of an earlier revision, which are lost then.
    const untold = { ...end, told: undefined };
    for (const seat of seats)
      if (!seat.left) this.#tellEnd(seat.answersBefore < this.#answers ? end : untold, seat);
    this.#owner.onLost(this);
  }

  #tellEnd(end: StreamEnd, seat: Seat): void {
    try {
      seat.owner.onStreamEnd(end, seat);
    } catch (error) {
      this.#owner.onFault(error);
      seat.owner.onFault();
    }
  }

  /** Does something that concerns all of the stream: a fault in it ends the stream, and its seats go on elsewhere. */
  guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Asks how far etcd is although nobody wants to know now: what a stream was told last is where its seats go on. */
  refresh(): void {
    this.#isStale = true;
    this.questions.want();
  }

  /** What etcd sent cannot be read or kept, or the program has a fault. */
  #fail(error: unknown): void {
    if (error instanceof RpcError) this.disband(watchFailureOf(error));
    else {
      this.#owner.onFault(error);
      this.disband(FAULT);
    }
  }

  #finish(): void {
    this.#over = true;
    this.#assembly.drop();
    clearInterval(this.#beat);
    this.questions.close();
    this.#owner.onGone();
  }

  #forget(seat: Seat): void {
    seat.left = true;
    this.#seats.delete(seat.id);
    this.#asked.delete(seat);
  }

  #onResponse(response: WatchResponse): void {
    const { header, watchId } = response;
    if (this.#member === '' && header.member !== '') {
      this.#member = header.member;
      this.#owner.onMember(this, header.member);
      if (this.#over) return;
    }
    if (response.created) this.#onCreated(response);
    else if (watchId < 0) this.#onAnswer(response);
    else this.#onWatch(response, this.#seats.get(watchId));
  }

  /** Refusals name no watch, so they are told by their order. */
  #onCreated(response: WatchResponse): void {
    const seat = this.line.onAnswer();
    if (seat !== undefined && !seat.left) {
      if (response.canceled) this.#forget(seat);
      else {
        seat.createdAt = response.header.revision;
        seat.answersBefore = this.#answers;
      }
      seat.owner.onResponse(response, seat);
      if (response.canceled) this.#owner.onLeft(this);
    }
    if (this.line.length === 0 && !this.#over) this.#owner.onAllCreated(this);
  }

  #onWatch(response: WatchResponse, seat: Seat | undefined): void {
    // What etcd had for a watch that was given up.
    if (seat === undefined) return;
    if (response.canceled) this.#onCanceled(response, seat);
    else if (response.events.length === 0) this.#onNotification(seat);
    else {
      seat.busy = true;
      seat.silence.onEvents();
      seat.owner.onResponse(response, seat);
    }
  }

  /** A compaction has ended the watch. To etcd it stays a watch that is not in step until it is cancelled. */
  #onCanceled(response: WatchResponse, seat: Seat): void {
    this.#forget(seat);
    this.#stream.send(cancelRequest(seat.id));
    seat.owner.onResponse(response, seat);
    this.#owner.onLeft(this);
  }

  /**
   * etcd notifies each silent watch of its progress, as far as its channel has room, one after the other. One question
   * tells as much, and about all of them.
   */
  #onNotification(seat: Seat): void {
    const gap = seat.silence.onNotification();
    if (gap !== undefined) this.#owner.onGap(gap);
    if (this.#notified) return;
    this.#notified = true;
    this.questions.want();
  }

  /** An answer that is older than a watch says nothing of it: its question is still open. */
  #onAnswer(response: WatchResponse): void {
    const { revision } = response.header;
    this.questions.onAnswer();
    this.#told = response;
    this.#answers++;
    this.#isStale = false;
    const asked = this.#asked;
    this.#asked = new Set();
    for (const seat of asked) {
      if (seat.left) continue;
      if (seat.counts(revision)) seat.owner.onResponse(response, seat);
      else this.ask(seat);
    }
    if (this.#notified) this.#notifyAll(response);
    if (!this.#over) this.#owner.onAnswer(this, response);
  }

  #notifyAll(response: WatchResponse): void {
    this.#notified = false;
    const notification = { ...response, watchId: 0 };
    for (const seat of [...this.#seats.values()])
      if (!seat.left && seat.counts(response.header.revision)) seat.owner.onResponse(notification, seat);
  }
}
