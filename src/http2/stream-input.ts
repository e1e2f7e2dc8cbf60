/**
 * The receiving half of one stream: its flow-control window, the length its content was announced with,
 * and the order in which everything reaches the listener, also when that pauses.
 */
import {
  callData,
  callEnd,
  callHeaders,
  callTrailers,
  type NotifiedConnection,
  type NotifiedStream,
} from './dispatch.ts';
import { ErrorCode } from './errors.ts';
import { FrameType } from './frame.ts';
import { HeldHeaders, HeldInput } from './held-input.ts';
import type { HeaderList } from './hpack/header-block.ts';
import type { Output } from './output.ts';
import type { ReceiveWindow } from './receive-window.ts';
import { dropSlowest } from './slow-readers.ts';

/** The connection of a stream that receives. */
export interface ReceivingConnection extends NotifiedConnection {
  readonly output: Output;
  readonly receiver: ReceiveWindow;
  readonly table: { values(): Iterable<Receiving> };
  readonly now: number;
  readonly link: { readonly messages: number };
  /** Server role: counts what is received. */
  readonly intake: {
    readonly turns: { mayGrow(input: StreamInput): boolean };
    onArrived(stream: Receiving, octets: number): void;
    onCompleted(stream: Receiving): void;
  };
}

/** The stream. */
export interface Receiving extends NotifiedStream {
  readonly connection: ReceivingConnection;
  readonly input: StreamInput;
  tooSlow: boolean;
  /** `onEnd` was called. */
  onInputFinished(): void;
}

/** What one stream receives. */
export class StreamInput {
  /** Octets the peer may still send. */
  window: number;
  /** END_STREAM has arrived, delivered or not. */
  ended = false;
  /** `onEnd` was called, or is being called. */
  finished = false;
  /** The peer's content-length, or -1. */
  expected = -1;
  /** Server role: octets counted for the stream by `RequestIntake`, and how many of them wait for an answer. */
  charged = 0;
  waiting = 0;
  /** Server role: something was passed on. */
  begun = false;
  /** Server role: it was told that it has to go. */
  refused = false;
  private readonly stream: Receiving;
  private received = 0;
  private owed = 0;
  private paused = false;
  private held: HeldInput | undefined = undefined;

  constructor(stream: Receiving, window: number) {
    this.stream = stream;
    this.window = window;
  }

  /** Since when the reader has taken nothing of what is kept for it; Infinity when nothing is. */
  get waitingSince(): number {
    return this.held === undefined ? Number.POSITIVE_INFINITY : this.held.since;
  }

  /** The message is complete, and has no content. */
  get empty(): boolean {
    return this.ended && this.received === 0;
  }

  /** Stops delivery. */
  pause(): void {
    this.paused = true;
  }

  /** Allows delivery again; true when something waits for {@link deliverHeld}. */
  resume(): boolean {
    if (!this.paused) return false;
    this.paused = false;
    return this.held !== undefined || (this.ended && !this.finished);
  }

  /**
   * Counts a DATA frame of `length` octets, `content` of them without padding.
   * @returns NO_ERROR, or the code of the stream error that the frame is
   */
  count(length: number, content: number, endStream: boolean): number {
    this.window -= length;
    this.received += content;
    if (this.window < 0) return ErrorCode.FLOW_CONTROL_ERROR;
    if (this.expected >= 0 && this.received > this.expected) return ErrorCode.PROTOCOL_ERROR;
    if (endStream && !this.lengthHolds()) return ErrorCode.PROTOCOL_ERROR;
    const { isServer, intake } = this.stream.connection;
    if (isServer && content > 0) intake.onArrived(this.stream, content);
    if (endStream) this.ended = true;
    if (length > content) this.giveBack(length - content);
    return ErrorCode.NO_ERROR;
  }

  /** At the end of a message: it is as long as announced; a response may have no content at all (HEAD, 304). */
  lengthHolds(): boolean {
    if (this.expected < 0 || this.received === this.expected) return true;
    return this.received === 0 && !this.stream.connection.isServer;
  }

  /** Final response header fields, or trailers, have arrived. */
  headers(list: HeaderList, trailers: boolean, endStream: boolean): void {
    if (this.mustHold()) this.hold().headers(new HeldHeaders(list, trailers, endStream));
    else if (trailers) callTrailers(this.stream, list);
    else callHeaders(this.stream, list, endStream);
  }

  /** Content has arrived. */
  data(chunk: Buffer): void {
    if (this.mustHold()) {
      const { connection } = this.stream;
      this.hold().data(chunk);
      connection.receiver.hold(chunk.length);
      if (!connection.isServer) dropSlowest(connection);
    } else {
      callData(this.stream, chunk);
      this.giveBack(chunk.length);
    }
  }

  /** END_STREAM has arrived. */
  end(): void {
    this.ended = true;
    const { isServer, intake } = this.stream.connection;
    if (isServer) intake.onCompleted(this.stream);
    if (this.mustHold() || this.finished || this.stream.closed) return;
    this.finished = true;
    callEnd(this.stream);
    this.stream.onInputFinished();
  }

  /**
   * Delivers what was kept while paused.
   * @param most messages of the connection so far with which it stops
   * @returns false when it has stopped for these
   */
  deliverHeld(most = Number.POSITIVE_INFINITY): boolean {
    const { held, stream } = this;
    while (held !== undefined && !this.paused && !stream.closed) {
      if (stream.connection.link.messages >= most) return false;
      const item = held.next();
      if (item === undefined) {
        this.held = undefined;
        break;
      }
      held.since = stream.connection.now;
      this.deliver(item);
    }
    if (this.ended) this.end();
    return true;
  }

  /**
   * The stream is about to close: a response that is complete is delivered, paused or not. A request is not: nobody waits
   * for its answer, and none may be sent (RFC 9113 section 6.4).
   */
  deliverComplete(): void {
    if (!this.ended || this.finished || this.stream.connection.isServer) return;
    this.paused = false;
    this.deliverHeld();
  }

  /** Forgets what was kept. */
  drop(): void {
    if (this.held === undefined) return;
    const { receiver, output } = this.stream.connection;
    receiver.release(this.held.bytes, output);
    this.held = undefined;
  }

  private deliver(item: Buffer | HeldHeaders): void {
    const { stream } = this;
    if (item instanceof HeldHeaders) {
      if (item.trailers) callTrailers(stream, item.list);
      else callHeaders(stream, item.list, item.endStream);
    } else {
      const { receiver, output } = stream.connection;
      receiver.release(item.length, output);
      callData(stream, item);
      this.giveBack(item.length);
    }
  }

  /** Octets are done with: the window is given back in halves (RFC 9113 section 6.9). */
  private giveBack(octets: number): void {
    const { stream } = this;
    const { isServer, intake, settings } = stream.connection;
    this.owed += octets;
    if (this.ended || stream.closed || this.owed * 2 < settings.initialWindowSize) return;
    if (!isServer || intake.turns.mayGrow(this)) this.grant();
  }

  /** Gives the window back. Something must be owed: a WINDOW_UPDATE of 0 is an error (RFC 9113 section 6.9). */
  grant(): void {
    const { stream } = this;
    stream.connection.output.number(FrameType.WINDOW_UPDATE, stream.id, this.owed);
    this.window += this.owed;
    this.owed = 0;
  }

  private mustHold(): boolean {
    return this.paused || this.held !== undefined;
  }

  private hold(): HeldInput {
    this.held ??= new HeldInput(this.stream.connection.now);
    return this.held;
  }
}
