/**
 * One stream (RFC 9113 section 5). The public half is what its owner calls; the members marked internal
 * belong to the connection that the stream is on.
 */
import { ByteQueue } from './byte-queue.ts';
import type { Http2Connection } from './connection.ts';
import { callClose, callDrain } from './dispatch.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { Flag, FrameType, MAX_31_BITS } from './frame.ts';
import type { HeaderList } from './hpack/header-block.ts';
import { NO_LISTENER, type StreamListener } from './listener.ts';
import { StreamInput } from './stream-input.ts';

/** Data up to this length may skip the queue. */
const SHORT = 16_384;
const NO_PART = new Uint8Array(0);

/** A stream of either role. After `onClose` every method is a no-op. */
export class Http2Stream {
  /** The stream identifier. */
  readonly id: number;
  readonly connection: Http2Connection;
  /** Told what happens on this stream. */
  listener: StreamListener = NO_LISTENER;
  /** Server role: the request's header fields. Client role: the response's, once they arrived. */
  headers: HeaderList;
  /** True when the peer certainly did nothing for this stream, so that the request may be repeated (RFC 9113 section 8.7). */
  unprocessed = false;
  /** True when we reset it because it was paused for too long while too much was kept for paused streams. */
  tooSlow = false;
  /**
   * Server role, set by the owner: when the peer gives the stream up by its own announcement, in milliseconds of
   * `performance.now()`. That it is reset by then is no sign of an attack.
   */
  givenUpAt = Number.POSITIVE_INFINITY;
  /** True from just before `onClose`. */
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
  ringBefore: Http2Stream | undefined = undefined;
  ringAfter: Http2Stream | undefined = undefined;
  /** @internal Header fields were sent (server) or received (client). */
  answered = false;
  /** @internal Its owner does not know of it yet, see `Gate`. */
  waits = false;
  /** When it was opened, in milliseconds of `performance.now()`. */
  readonly openedAt: number;
  /** @internal The output's epoch when a request's HEADERS were appended. */
  epoch: number;
  /** @internal Client role: the request's fields while they stand in the {@link RequestLine}. */
  unsent: Uint8Array | undefined = undefined;

  private ending = false;
  private localEnded = false;
  private needDrain = false;
  private trailers: Uint8Array | undefined = undefined;

  /** @internal */
  constructor(connection: Http2Connection, id: number, headers: HeaderList, send: number, receive: number) {
    this.connection = connection;
    this.id = id;
    this.headers = headers;
    this.sendWindow = send;
    this.input = new StreamInput(this, receive);
    this.openedAt = connection.now;
    this.epoch = connection.output.epoch;
  }

  /** True once END_STREAM has arrived, delivered or not. */
  get endStreamReceived(): boolean {
    return this.input.ended;
  }

  /** True when END_STREAM has arrived and no content before it. */
  get empty(): boolean {
    return this.input.empty;
  }

  /** Octets given to `sendData` that wait for a window or the socket. */
  get queuedBytes(): number {
    return this.queue === undefined ? 0 : this.queue.length;
  }

  /** Sends a field block made by `encodeHeaders`: response header fields, interim or final. */
  sendHeaders(block: Uint8Array, endStream = false): void {
    if (this.closed) return;
    this.mustBeOpen();
    this.answered = true;
    this.connection.guard.gate.answered();
    this.connection.output.headers(this.id, block, endStream);
    this.connection.wake();
    if (endStream) this.localEnd();
  }

  /**
   * Sends content, which is not copied and must not change. False asks to stop until `onDrain`; the
   * octets are taken all the same.
   */
  sendData(chunk: Uint8Array, endStream = false): boolean {
    return this.sendParts(NO_PART, chunk, endStream);
  }

  /** {@link sendData} for content in two parts, such as an envelope and a message that many streams share. */
  sendParts(head: Uint8Array, body: Uint8Array, endStream = false): boolean {
    if (this.closed) return false;
    this.mustBeOpen();
    const length = head.length + body.length;
    this.connection.wake();
    if (this.queuedBytes > 0 || !this.fits(length)) return this.enqueue(head, body, endStream);
    if (length > 0 || endStream) this.sendNow(head, body, endStream);
    return true;
  }

  /** {@link sendParts}, but `head` is copied where it has to be kept, so that its owner can use it again. */
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

  /** Sends trailer fields, which end the stream, after all queued data. */
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

  /** Sends a whole response with content and trailers. */
  sendReply(headers: Uint8Array, data: Uint8Array, trailers: Uint8Array): void {
    this.sendHeaders(headers);
    this.sendData(data);
    this.sendTrailers(trailers);
  }

  /** Ends the stream at once with RST_STREAM (RFC 9113 section 6.4); queued data is dropped, `onClose` comes before this returns. */
  reset(code: number): void {
    if (this.closed) return;
    // To the peer a request that was not sent is no stream.
    if (this.unsent === undefined) this.connection.output.number(FrameType.RST_STREAM, this.id, code);
    this.connection.wake();
    this.close(code, true);
  }

  /** Server role: so many octets of what arrived are no longer held; see {@link Intake}. */
  release(octets: number): void {
    if (!this.closed) this.connection.intake.release(this, octets);
  }

  /** Server role: so many more octets are held for the request; false when it has to go for it. */
  charge(octets: number): boolean {
    return this.closed || this.connection.intake.charge(this, octets);
  }

  /** Server role: so many more octets wait for somebody else than the client, or (negative) no longer. */
  hold(octets: number): void {
    if (!this.closed) this.connection.intake.hold(this, octets);
  }

  /** Stops delivery; what arrives is kept, and no window is given back, so that the peer stops too. */
  pause(): void {
    this.input.pause();
  }

  /** Goes on with delivery, at the end of this turn of the event loop if something was kept. */
  resume(): void {
    if (this.input.resume()) this.connection.resumed(this);
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
  inputFinished(): void {
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
    if (connection.isServer) connection.intake.closed(this);
    this.input.drop();
    this.queue = undefined;
    this.trailers = undefined;
    connection.table.remove(this, local);
    callClose(this, code, local);
    connection.left();
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
    output.head(length, FrameType.DATA, endStream ? Flag.END_STREAM : 0, this.id);
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
