/** Streams of one kind: which there are, and which of them are being drained. */
import type { OwnWatch } from '../../etcd/watch-request.ts';
import type { WatchResponse } from '../../etcd/watch-response.ts';
import type { ClientStream, ClientStreamListener } from '../../rpc/contract.ts';
import type { Status } from '../../rpc/status.ts';
import type { AssemblyBounds } from '../response-assembly.ts';
import { afterEnd } from './company.ts';
import { Drain } from './drain.ts';
import type { Seat, SeatOwner, SeatSource, StreamEnd } from './seat.ts';
import { SharedStream } from './shared-stream.ts';
import type { SharedStreamOwner } from './shared-stream-owner.ts';

/** What streams need of whoever has them. */
export interface StreamHost {
  readonly assembly: AssemblyBounds;
  open(listener: ClientStreamListener): ClientStream;
  /** The interval between two notifications of etcd, in milliseconds. */
  onGap(ms: number): void;
  /** A stream has begun on this member. */
  onMember(stream: SharedStream, member: string): void;
  /** etcd has ended a stream. */
  onLost(stream: SharedStream): void;
  onGone(): void;
  onFault(error: unknown): void;
}

export abstract class StreamGroup implements SharedStreamOwner<SharedStream>, SeatSource {
  protected readonly streams = new Set<SharedStream>();
  protected readonly drains = new Map<SharedStream, Drain>();
  readonly #host: StreamHost;

  constructor(host: StreamHost) {
    this.#host = host;
  }

  /** Takes a seat on the stream that is best. @param company how many may be on it */
  abstract take(watch: OwnWatch, owner: SeatOwner, fresh?: boolean, company?: number): Seat;
  abstract mayAsk(stream: SharedStream): boolean;
  abstract onAllCreated(stream: SharedStream): void;
  abstract onBeat(stream: SharedStream): void;
  /** A stream that goes on has room for one more. */
  protected abstract onRoom(stream: SharedStream): void;
  /** A stream takes nobody any more. */
  protected abstract forget(stream: SharedStream): void;

  get assembly(): AssemblyBounds {
    return this.#host.assembly;
  }

  open(listener: ClientStreamListener): ClientStream {
    return this.#host.open(listener);
  }

  onGap(ms: number): void {
    this.#host.onGap(ms);
  }

  onMember(stream: SharedStream, member: string): void {
    this.#host.onMember(stream, member);
  }

  wantsAnswer(stream: SharedStream): boolean {
    return this.drains.get(stream)?.wantsAnswer ?? false;
  }

  onAnswer(stream: SharedStream, told: WatchResponse): void {
    this.drains.get(stream)?.onAnswer(told);
  }

  onLeft(stream: SharedStream): void {
    if (stream.size > 0) this.onRoom(stream);
    else if (this.#remove(stream)) stream.close();
  }

  onOver(stream: SharedStream, status: Status): Omit<StreamEnd, 'told'> {
    this.#remove(stream);
    return afterEnd(stream, status);
  }

  onLost(stream: SharedStream): void {
    this.#host.onLost(stream);
  }

  onGone(): void {
    this.#host.onGone();
  }

  onFault(error: unknown): void {
    this.#host.onFault(error);
  }

  forsake(owner: SeatOwner): void {
    for (const stream of [...this.streams]) {
      for (const seat of [...stream.seats]) if (seat.owner === owner && !owner.has(seat)) stream.leave(seat);
      // It may have been opened for this seat.
      if (stream.size === 0) this.onLeft(stream);
    }
  }

  /** Opens one more stream. */
  protected start(limit: number, beatMs: number): SharedStream {
    const stream = new SharedStream(this, limit, beatMs);
    this.streams.add(stream);
    return stream;
  }

  /** Has the rides of a stream move to others. */
  protected drain(stream: SharedStream, to: SeatSource): void {
    this.drains.set(stream, new Drain(stream, to));
    stream.questions.want();
  }

  #remove(stream: SharedStream): boolean {
    this.forget(stream);
    this.drains.delete(stream);
    return this.streams.delete(stream);
  }
}
