/**
 * One stream (RFC 9113 section 5). What its owner calls is {@link Http2Stream}; the members marked internal belong to the
 * connection that the stream is on.
 */
import { ByteQueue } from './byte-queue.ts';
import { callClose, callDrain } from './dispatch.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { FrameFlag, FrameType, MAX_31_BITS } from './frame.ts';
import type { HeaderList } from './hpack/header-block.ts';
import { type Http2Stream, NO_LISTENER, type StreamListener } from './listener.ts';
import { type Receiving, type ReceivingConnection, StreamInput } from './stream-input.ts';

/** Data up to this length may skip the queue. */
const SHORT = 16_384;
const NO_PART = new Uint8Array(0);

/** What a stream needs of its connection. */
export interface StreamConnection extends ReceivingConnection {
  readonly guard: { readonly gate: { onAnswered(): void; forget(stream: Stream): void } };
  readonly scheduler: {
    window: number;
    queued: number;
    readonly waiting: boolean;
    add(stream: Stream): void;
    remove(stream: Stream): void;
  };
  readonly intake: ReceivingConnection['intake'] & {
    charge(stream: Stream, octets: number): boolean;
    release(stream: Stream, octets: number): void;
    hold(stream: Stream, octets: number): void;
    onClosed(stream: Stream): void;
  };
  readonly line: { drop(stream: Stream): void };
  readonly link: ReceivingConnection['link'] & { countMessage(frames: number): void };
  readonly table: ReceivingConnection['table'] & { remove(stream: Stream, local: boolean): void };
  /** Frames were appended: they are flushed at the end of the turn. */
  wake(): void;
  /** A stream wants what was kept for it at the end of the turn. */
  onResumed(stream: Stream): void;
  /** The listener of a closed stream was told. */
  onLeft(): void;
}

/** A stream of either role. */
export class Stream implements Http2Stream, Receiving {
  readonly id: number;
  readonly connection: StreamConnection;
  listener: StreamListener = NO_LISTENER;
  headers: HeaderList;
  unprocessed = false;
  tooSlow = false;
  givenUpAt = Number.POSITIVE_INFINITY;
  closed = false;

  /** @internal Octets the peer lets us send. */
  sendWindow: number;
  /** @internal The receiving half. */
  readonly input: StreamInput;
  /** @internal What waits for a window or the socket. */
  queue: ByteQueue | undefined = undefined;
  /** @internal END_STREAM goes on the last queued DATA frame. */
  endsAfterQueue = false;
  /** @internal Neighbours in the scheduler's ring. */
  inRing = false;
  ringBefore: Stream | undefined = undefined;
  ringAfter: Stream | undefined = undefined;
  /** @internal Header fields were sent (server) or received (client). */
  answered = false;
  /** @internal Its owner does not know of it yet, see `Gate`. */
  waits = false;
  readonly openedAt: number;
  /** @internal The output's epoch when a request's HEADERS were appended. */
  epoch: number;
  /** @internal Client role: the request's fields while they stand in the `RequestLine`. */
  unsent: Uint8Array | undefined = undefined;

  private ending = false;
  private localEnded = false;
  private needDrain = false;
  private trailers: Uint8Array | undefined = undefined;

  /** @internal */
  constructor(connection: StreamConnection, id: number, headers: HeaderList, send: number, receive: number) {
    this.connection = connection;
    this.id = id;
    this.headers = headers;
    this.sendWindow = send;
    this.input = new StreamInput(this, receive);
    this.openedAt = connection.now;
    this.epoch = connection.output.epoch;
  }

  get endStreamReceived(): boolean {
    return this.input.ended;
  }

  get empty(): boolean {
    return this.input.empty;
  }

  get queuedBytes(): number {
    return this.queue === undefined ? 0 : this.queue.length;
  }

  sendHeaders(block: Uint8Array, endStream = false): void {
    if (this.closed) return;
    this.mustBeOpen();
    this.answered = true;
    this.connection.guard.gate.onAnswered();
    this.connection.output.headers(this.id, block, endStream);
    this.connection.wake();
    if (endStream) this.localEnd();
  }

  sendData(chunk: Uint8Array, endStream = false): boolean {
    return this.sendParts(NO_PART, chunk, endStream);
  }

  sendParts(head: Uint8Array, body: Uint8Array, endStream = false): boolean {
    if (this.closed) return false;
    this.mustBeOpen();
    const length = head.length + body.length;
    this.connection.wake();
    if (this.queuedBytes > 0 || !this.fits(length)) return this.enqueue(head, body, endStream);
    if (length > 0 || endStream) this.sendNow(head, body, endStream);
    return true;
  }

  sendJoined(head: Uint8Array, body: Uint8Array): boolean {
    if (this.closed) return false;
    this.mustBeOpen();
    this.connection.wake();
    const length = head.length + body.length;
    if (this.queuedBytes > 0 || !this.fits(length)) return this.enqueueJoined(head, body);
    this.connection.scheduler.window -= length;
    this.sendWindow -= length;
    this.connection.output.joined(this.id, head, body);
    return true;
  }

  sendTrailers(block: Uint8Array): void {
    if (this.closed) return;
    this.mustBeOpen();
    this.connection.wake();
    if (this.queuedBytes > 0) {
      this.ending = true;
      this.trailers = block;
      return;
    }
    this.connection.output.headers(this.id, block, true);
    this.localEnd();
  }

  sendReply(headers: Uint8Array, data: Uint8Array, trailers: Uint8Array): void {
    this.sendHeaders(headers);
    this.sendData(data);
    this.sendTrailers(trailers);
  }

  reset(code: number): void {
    if (this.closed) return;
    // To the peer a request that was not sent is no stream.
    if (this.unsent === undefined) this.connection.output.number(FrameType.RST_STREAM, this.id, code);
    this.connection.wake();
    this.close(code, true);
  }

  release(octets: number): void {
    if (!this.closed) this.connection.intake.release(this, octets);
  }

  charge(octets: number): boolean {
    return this.closed || this.connection.intake.charge(this, octets);
  }

  hold(octets: number): void {
    if (!this.closed) this.connection.intake.hold(this, octets);
  }

  countMessage(frames: number): void {
    this.connection.link.countMessage(frames);
  }

  pause(): void {
    this.input.pause();
  }

  resume(): void {
    if (this.input.resume()) this.connection.onResumed(this);
  }

  /** @internal The peer moved our window; false when it overflows (RFC 9113 section 6.9.1). */
  moveSendWindow(delta: number): boolean {
    this.sendWindow += delta;
    const { scheduler } = this.connection;
    if (this.sendWindow <= 0) scheduler.remove(this);
    else if (this.queuedBytes > 0 && this.unsent === undefined) scheduler.add(this);
    return this.sendWindow <= MAX_31_BITS;
  }

  /** @internal `onEnd` was called. */
  onInputFinished(): void {
    if (this.localEnded) this.close(ErrorCode.NO_ERROR, false);
  }

  /** @internal The scheduler has moved octets out of the queue, the last of them with END_STREAM if `ended`. */
  afterQueueMoved(ended: boolean): void {
    if (this.queuedBytes === 0 && (ended || this.trailers !== undefined)) {
      if (this.trailers !== undefined) this.connection.output.headers(this.id, this.trailers, true);
      this.localEnd();
    } else if (this.needDrain && this.queuedBytes <= this.connection.settings.streamLowWaterMark) {
      this.needDrain = false;
      callDrain(this);
    }
  }

  /** @internal END_STREAM goes with the header fields, which wait. */
  endWhenSent(): void {
    this.ending = true;
    this.endsAfterQueue = true;
  }

  /** @internal END_STREAM is on its way to the peer. */
  localEnd(): void {
    this.ending = true;
    this.localEnded = true;
    const { connection, input } = this;
    if (connection.isServer) {
      // Nobody will read the rest of the request: RFC 9113 section 8.1.
      if (!input.ended) connection.output.number(FrameType.RST_STREAM, this.id, ErrorCode.NO_ERROR);
      this.close(ErrorCode.NO_ERROR, !input.ended);
    } else if (input.finished) {
      this.close(ErrorCode.NO_ERROR, false);
    }
  }

  /** @internal Leaves the connection; `onClose` is the last call to the listener. */
  close(code: number, local: boolean): void {
    if (this.closed) return;
    this.closed = true;
    const { connection } = this;
    if (this.waits) connection.guard.gate.forget(this);
    connection.scheduler.remove(this);
    connection.scheduler.queued -= this.queuedBytes;
    if (this.unsent !== undefined) connection.line.drop(this);
    if (connection.isServer) connection.intake.onClosed(this);
    this.input.drop();
    this.queue = undefined;
    this.trailers = undefined;
    connection.table.remove(this, local);
    callClose(this, code, local);
    connection.onLeft();
  }

  private mustBeOpen(): void {
    if (this.ending) throw new Http2Error(ErrorCode.INTERNAL_ERROR, 'the stream has been ended by this side');
  }

  /** True when data can go into the output now, without passing by other streams' data. */
  private fits(length: number): boolean {
    if (this.unsent !== undefined) return false;
    if (length === 0) return true;
    const { scheduler, output } = this.connection;
    if (scheduler.waiting || output.full || length > SHORT) return false;
    return length <= this.sendWindow && length <= scheduler.window && length <= output.maxFrame;
  }

  private sendNow(head: Uint8Array, body: Uint8Array, endStream: boolean): void {
    const { scheduler, output } = this.connection;
    const length = head.length + body.length;
    scheduler.window -= length;
    this.sendWindow -= length;
    output.head(length, FrameType.DATA, endStream ? FrameFlag.END_STREAM : 0, this.id);
    output.bytes(head);
    output.bytes(body);
    if (endStream) this.localEnd();
  }

  private enqueueJoined(head: Uint8Array, body: Uint8Array): boolean {
    this.queue ??= new ByteQueue();
    this.queue.pushCopy(head);
    this.connection.scheduler.queued += head.length;
    return this.enqueue(NO_PART, body, false);
  }

  private enqueue(head: Uint8Array, body: Uint8Array, endStream: boolean): boolean {
    const { scheduler, settings } = this.connection;
    this.queue ??= new ByteQueue();
    this.queue.push(head);
    this.queue.push(body);
    this.ending = endStream;
    this.endsAfterQueue = endStream;
    scheduler.queued += head.length + body.length;
    if (this.sendWindow > 0 && this.unsent === undefined) scheduler.add(this);
    if (this.queue.length <= settings.streamHighWaterMark) return true;
    this.needDrain = true;
    return false;
  }
}
