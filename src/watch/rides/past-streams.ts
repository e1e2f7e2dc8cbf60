/**
 * The streams of watches that begin in the past. Each is of watches that came at about the same time: once it is closed to
 * newcomers and etcd has all of them, it is asked when they have caught up, and drained into the streams of what comes
 * next. While one of them has much to catch up with, etcd answers for none: then those that are busy and those that are not
 * part.
 */
import type { OwnWatch } from '../../etcd/watch-request.ts';
import { FULL } from './company.ts';
import type { LiveStreams } from './live-streams.ts';
import type { Seat, SeatOwner } from './seat.ts';
import type { SharedStream } from './shared-stream.ts';
import { StreamGroup, type StreamHost } from './stream-group.ts';

/** For how long a stream takes newcomers, in milliseconds; so many times as long as there are such streams. */
const OPEN_MS = 20;
/** etcd has not answered for so long: something is not in step. */
const SILENT_MS = 1000;
/** How often that is looked at. */
const BEAT_MS = 500;

export class PastStreams extends StreamGroup {
  readonly #live: LiveStreams;
  /** Those that take newcomers, and when that ends. */
  readonly #open = new Map<SharedStream, NodeJS.Timeout>();

  constructor(host: StreamHost, live: LiveStreams) {
    super(host);
    this.#live = live;
  }

  take(watch: OwnWatch, owner: SeatOwner, fresh = false, company = FULL): Seat {
    const stream = this.#pick(company);
    const seat = stream.take(watch, owner, fresh);
    if (stream.size >= stream.limit) this.#close(stream);
    return seat;
  }

  /** Those that are there take nobody any more. */
  renew(): void {
    for (const stream of [...this.#open.keys()]) this.#close(stream);
  }

  /**
   * A question that etcd was asked before it had a watch says nothing of it, and which question an answer is for cannot be
   * known. So none is asked before etcd has all of the watches.
   */
  mayAsk(stream: SharedStream): boolean {
    return !this.#open.has(stream) && stream.line.length === 0;
  }

  onAllCreated(stream: SharedStream): void {
    stream.questions.want();
  }

  /** Events since etcd answered last tell who is busy. */
  onBeat(stream: SharedStream): void {
    const { silence } = stream.questions;
    if (silence >= SILENT_MS) this.#part(stream);
    if (silence === 0 || silence >= SILENT_MS) for (const seat of stream.seats) seat.busy = false;
    stream.questions.want();
  }

  protected onRoom(): void {
    // Its newcomers come at about the same time, or not at all.
  }

  protected forget(stream: SharedStream): void {
    clearTimeout(this.#open.get(stream));
    this.#open.delete(stream);
  }

  #pick(company: number): SharedStream {
    for (const stream of this.#open.keys()) if (stream.limit === company) return stream;
    const stream = this.start(company, BEAT_MS);
    const ms = OPEN_MS * this.streams.size;
    this.#open.set(
      stream,
      setTimeout(() => stream.guard(() => this.#close(stream)), ms),
    );
    return stream;
  }

  #close(stream: SharedStream): void {
    this.forget(stream);
    this.drain(stream, this.#live);
  }

  /**
   * The busy ones leave: they are where etcd is with them. Those that are quiet may have had everything, which etcd has not
   * said, so that a compaction would end a watch that begins anew behind what is known of them. They are together again, and
   * closed to newcomers at once.
   */
  #part(old: SharedStream): void {
    const quiet: SeatOwner[] = [];
    const busy: SeatOwner[] = [];
    for (const seat of old.seats) (seat.busy ? busy : quiet).push(seat.owner);
    if (quiet.length === 0 || busy.length === 0) return;
    let stream: SharedStream | undefined;
    const take = (watch: OwnWatch, owner: SeatOwner): Seat => {
      stream ??= this.start(old.limit, BEAT_MS);
      return stream.take(watch, owner, false);
    };
    const forsake = (owner: SeatOwner): void => this.forsake(owner);
    for (const owner of busy) owner.moveToPast({ take, forsake });
    if (stream !== undefined) this.#close(stream);
  }
}
