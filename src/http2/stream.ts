/**
 * One stream (RFC 9113 section 5). The public half is what its owner calls; the members marked internal
 * belong to the connection that the stream is on.
 */
import { ByteQueue } from './byte-queue.ts';
import type { Http2Connection } from './connection.ts';
import { callClose, callData, callDrain, callEnd, callHeaders, callTrailers } from './dispatch.ts';
import { ErrorCode, Http2Error } from './errors.ts';
import { Flag, FrameType, MAX_31_BITS } from './frame.ts';
import { HeldHeaders, HeldInput } from './held-input.ts';
import type { HeaderList } from './hpack/header-block.ts';
import { NO_LISTENER, type StreamListener } from './listener.ts';

/** Data up to this length may skip the queue. */
const SHORT = 16_384;

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
  /** True from just before `onClose`. */
  closed = false;
  /** True once END_STREAM has arrived, delivered or not. */
  endStreamReceived = false;

  /** @internal Octets the peer lets us send. */
  sendWindow: number;
  /** @internal Octets the peer may still send. */
  receiveWindow: number;
  /** @internal content-length announced by the peer, or -1. */
  expected = -1;
  /** @internal Octets of content received. */
  received = 0;
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
  /** @internal The output's epoch when a request's HEADERS were appended. */
  readonly epoch: number;

  private ending = false;
  private localEnded = false;
  private endDelivered = false;
  private needDrain = false;
  private paused = false;
  private delivered = 0;
  private trailers: Uint8Array | undefined = undefined;
  private held: HeldInput | undefined = undefined;

  /** @internal */
  constructor(connection: Http2Connection, id: number, headers: HeaderList, send: number, receive: number) {
    this.connection = connection;
    this.id = id;
    this.headers = headers;
    this.sendWindow = send;
    this.receiveWindow = receive;
    this.epoch = connection.output.epoch;
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
    this.connection.output.headers(this.id, block, endStream);
    this.connection.wake();
    if (endStream) this.localEnd();
  }

  /**
   * Sends content, which is not copied and must not change. False asks to stop until `onDrain`; the
   * octets are taken all the same.
   */
  sendData(chunk: Uint8Array, endStream = false): boolean {
    if (this.closed) return false;
    this.mustBeOpen();
    const { connection, queue } = this;
    connection.wake();
    if ((queue === undefined || queue.length === 0) && this.fits(chunk.length)) {
      if (chunk.length > 0 || endStream) this.sendNow(chunk, endStream);
      return true;
    }
    return this.enqueue(chunk, endStream);
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
    this.connection.output.number(FrameType.RST_STREAM, this.id, code);
    this.connection.wake();
    this.close(code, true);
  }

  /** Stops delivery; what arrives is kept, and no window is given back, so that the peer stops too. */
  pause(): void {
    this.paused = true;
  }

  /** Goes on with delivery, at the end of this turn of the event loop if something was kept. */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.held !== undefined || (this.endStreamReceived && !this.endDelivered))
      this.connection.resumed(this);
  }

  /** @internal Final response header fields, or trailers, have arrived. */
  receiveHeaders(list: HeaderList, trailers: boolean, endStream: boolean): void {
    if (this.mustHold()) this.hold().headers(new HeldHeaders(list, trailers, endStream));
    else if (trailers) callTrailers(this, list);
    else callHeaders(this, list, endStream);
  }

  /** @internal Content has arrived. */
  receiveData(chunk: Buffer): void {
    if (this.mustHold()) {
      this.hold().data(chunk);
      this.connection.receiver.hold(chunk.length);
      return;
    }
    callData(this, chunk);
    this.giveBack(chunk.length);
  }

  /** @internal END_STREAM has arrived. */
  receiveEnd(): void {
    this.endStreamReceived = true;
    if (!this.closed && !this.mustHold()) this.deliverEnd();
  }

  /** @internal Octets of content are done with: gives the window back in halves. */
  giveBack(octets: number): void {
    this.delivered += octets;
    if (this.closed || this.endStreamReceived) return;
    if (this.delivered * 2 < this.connection.settings.initialWindowSize) return;
    this.connection.output.number(FrameType.WINDOW_UPDATE, this.id, this.delivered);
    this.connection.wake();
    this.receiveWindow += this.delivered;
    this.delivered = 0;
  }

  /** @internal At the end of a message: it is as long as it said; a response may have no content at all (HEAD, 304). */
  lengthHolds(): boolean {
    if (this.expected < 0 || this.received === this.expected) return true;
    return this.received === 0 && !this.connection.isServer;
  }

  /** @internal The peer moved our window; false when it overflows (RFC 9113 section 6.9.1). */
  moveSendWindow(delta: number): boolean {
    this.sendWindow += delta;
    const { scheduler } = this.connection;
    if (this.sendWindow <= 0) scheduler.remove(this);
    else if (this.queuedBytes > 0) scheduler.add(this);
    return this.sendWindow <= MAX_31_BITS;
  }

  /** @internal Delivers what was kept while paused. */
  deliverHeld(): void {
    const { held } = this;
    if (held !== undefined) {
      while (!this.paused && !this.closed) {
        const item = held.next();
        if (item === undefined) {
          this.held = undefined;
          break;
        }
        if (item instanceof HeldHeaders) {
          if (item.trailers) callTrailers(this, item.list);
          else callHeaders(this, item.list, item.endStream);
        } else {
          this.connection.receiver.release(item.length, this.connection.output);
          callData(this, item);
          this.giveBack(item.length);
        }
      }
    }
    if (this.endStreamReceived && !this.closed && !this.mustHold()) this.deliverEnd();
  }

  /** @internal The connection ends: a message that is complete is delivered whether paused or not. */
  deliverComplete(): void {
    if (!this.endStreamReceived || this.endDelivered) return;
    this.paused = false;
    this.deliverHeld();
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

  /** @internal END_STREAM is on its way to the peer. */
  localEnd(): void {
    this.ending = true;
    this.localEnded = true;
    if (this.connection.isServer) {
      // Nobody will read the rest of the request: RFC 9113 section 8.1.
      if (!this.endStreamReceived)
        this.connection.output.number(FrameType.RST_STREAM, this.id, ErrorCode.NO_ERROR);
      this.close(ErrorCode.NO_ERROR, !this.endStreamReceived);
    } else if (this.endDelivered) {
      this.close(ErrorCode.NO_ERROR, false);
    }
  }

  /** @internal Leaves the connection; `onClose` is the last call to the listener. */
  close(code: number, local: boolean): void {
    if (this.closed) return;
    this.closed = true;
    const { connection } = this;
    connection.scheduler.remove(this);
    connection.scheduler.queued -= this.queuedBytes;
    if (this.held !== undefined) connection.receiver.release(this.held.bytes, connection.output);
    this.queue = undefined;
    this.trailers = undefined;
    this.held = undefined;
    connection.leave(this, local);
    callClose(this, code, local);
    connection.left();
  }

  private mustBeOpen(): void {
    if (this.ending) throw new Http2Error(ErrorCode.INTERNAL_ERROR, 'the stream has been ended by this side');
  }

  private mustHold(): boolean {
    return this.paused || this.held !== undefined;
  }

  private hold(): HeldInput {
    this.held ??= new HeldInput();
    return this.held;
  }

  /** True when data can go into the output now, without passing by other streams' data. */
  private fits(length: number): boolean {
    if (length === 0) return true;
    const { scheduler, output } = this.connection;
    return (
      length <= SHORT &&
      length <= this.sendWindow &&
      length <= scheduler.window &&
      length <= output.maxFrame &&
      !scheduler.waiting &&
      !output.full
    );
  }

  private sendNow(chunk: Uint8Array, endStream: boolean): void {
    const { scheduler, output } = this.connection;
    scheduler.window -= chunk.length;
    this.sendWindow -= chunk.length;
    output.frame(FrameType.DATA, endStream ? Flag.END_STREAM : 0, this.id, chunk);
    if (endStream) this.localEnd();
  }

  private enqueue(chunk: Uint8Array, endStream: boolean): boolean {
    const { scheduler, settings } = this.connection;
    this.queue ??= new ByteQueue();
    this.queue.push(chunk);
    this.ending = endStream;
    this.endsAfterQueue = endStream;
    scheduler.queued += chunk.length;
    if (this.sendWindow > 0) scheduler.add(this);
    if (this.queue.length <= settings.streamHighWaterMark) return true;
    this.needDrain = true;
    return false;
  }

  private deliverEnd(): void {
    if (this.endDelivered) return;
    this.endDelivered = true;
    callEnd(this);
    if (this.localEnded) this.close(ErrorCode.NO_ERROR, false);
  }
}
