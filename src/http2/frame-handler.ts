/**
 * Meets each incoming frame (RFC 9113 section 6): checks what the RFC demands of it, and hands it to the
 * part of the connection it is for. Whatever is wrong with the connection as a whole is thrown.
 */
import { LARGE_BUFFER } from './byte-queue.ts';
import { ErrorCode, Http2Error, protocolError } from './errors.ts';
import { FrameFlag, FrameType, MAX_31_BITS } from './frame.ts';
import type { FrameSink } from './frame-reader.ts';
import { HeaderInput, type OpenedConnection } from './header-input.ts';
import type { PingAnswer } from './ping-answer.ts';
import type { Pings } from './pings.ts';
import type { SendScheduler } from './send-scheduler.ts';
import type { Stream } from './stream.ts';
import { Past } from './stream-table.ts';

/** Of a large buffer a part is copied that is smaller than this share of it. */
const SHARE = 1 / 5;

/** The connection that frames arrive on. */
export interface HandledConnection extends OpenedConnection {
  readonly pings: Pings;
  readonly pingAnswer: PingAnswer;
  readonly scheduler: SendScheduler;
}

/** The frames of one connection's input. */
export class FrameHandler implements FrameSink {
  private readonly connection: HandledConnection;
  private readonly headerInput: HeaderInput;
  /** Frames so far. */
  frames = 0;
  /** HEADERS and DATA frames among them. */
  messages = 0;
  private greeted = false;

  constructor(connection: HandledConnection) {
    this.connection = connection;
    this.headerInput = new HeaderInput(connection);
  }

  get stopped(): boolean {
    const { closed, guard } = this.connection;
    return closed || guard.brake.on;
  }

  /** The stream of the field block that is incomplete; 0 when none is. */
  get openBlock(): number {
    return this.headerInput.openBlock;
  }

  frame(type: number, flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (this.headerInput.open && type !== FrameType.CONTINUATION)
      throw protocolError('field block interrupted');
    if (!this.greeted) this.greet(type, flags);
    this.frames++;
    if (type <= FrameType.HEADERS) this.messages++;
    switch (type) {
      case FrameType.DATA:
        this.data(flags, id, source, start, end);
        break;
      case FrameType.HEADERS:
        this.headerInput.headers(flags, id, source, start, end);
        break;
      case FrameType.CONTINUATION:
        this.headerInput.continuation(flags, id, source, start, end);
        break;
      case FrameType.WINDOW_UPDATE:
        this.windowUpdate(id, source, start, end);
        break;
      default:
        this.rareFrame(type, flags, id, source, start, end);
    }
  }

  private rareFrame(
    type: number,
    flags: number,
    id: number,
    source: Buffer,
    start: number,
    end: number,
  ): void {
    switch (type) {
      case FrameType.PRIORITY:
        this.priority(id, source, start, end);
        break;
      case FrameType.RST_STREAM:
        this.rstStream(id, source, start, end);
        break;
      case FrameType.SETTINGS:
        this.settings(flags, id, source, start, end);
        break;
      case FrameType.PUSH_PROMISE:
        throw protocolError('PUSH_PROMISE although push is off');
      case FrameType.PING:
        this.ping(flags, id, source, start, end);
        break;
      case FrameType.GOAWAY:
        this.goaway(id, source, start, end);
        break;
      default: // RFC 9113 section 5.5: unknown frame types are ignored.
    }
  }

  /** RFC 9113 section 3.4: a SETTINGS frame comes first. */
  private greet(type: number, flags: number): void {
    if (type !== FrameType.SETTINGS || (flags & FrameFlag.ACK) !== 0)
      throw protocolError('SETTINGS must come first');
    this.greeted = true;
  }

  private data(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (id === 0) throw protocolError('DATA on stream 0');
    const { connection } = this;
    const length = end - start;
    let from = start;
    let to = end;
    if ((flags & FrameFlag.PADDED) !== 0) {
      if (length === 0) throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'DATA without pad length');
      to -= source[from++] as number;
      if (from > to) throw protocolError('padding longer than its frame');
    }
    if (length > 0) connection.receiver.take(length, connection.output);
    const endStream = (flags & FrameFlag.END_STREAM) !== 0;
    if (from === to && !endStream) connection.guard.countControl();
    const stream = connection.table.get(id);
    if (stream === undefined) this.lateData(id);
    else this.content(stream, length, endStream, source, from, to);
  }

  private content(s: Stream, length: number, ends: boolean, source: Buffer, from: number, to: number): void {
    const { guard, isServer } = this.connection;
    if (s.input.ended) {
      guard.streamError(s, ErrorCode.STREAM_CLOSED);
      return;
    }
    const mistake =
      s.answered || isServer ? s.input.count(length, to - from, ends) : ErrorCode.PROTOCOL_ERROR;
    if (mistake !== ErrorCode.NO_ERROR) {
      guard.streamError(s, mistake);
      return;
    }
    // It was too much, and the owner has answered.
    if (s.closed) return;
    if (from < to) s.input.data(isServer ? part(source, from, to) : source.subarray(from, to));
    if (ends) s.input.end();
  }

  private lateData(id: number): void {
    const { connection } = this;
    const past = connection.table.past(id);
    if (past === Past.IDLE) throw protocolError('DATA on an idle stream');
    if (past === Past.SKIPPED || past === Past.ENDED) {
      throw new Http2Error(ErrorCode.STREAM_CLOSED, 'DATA after END_STREAM');
    }
    if (past === Past.RESET_BY_PEER) connection.guard.refuse(id, ErrorCode.STREAM_CLOSED);
  }

  private priority(id: number, source: Buffer, start: number, end: number): void {
    if (id === 0) throw protocolError('PRIORITY on stream 0');
    const { connection } = this;
    const stream = connection.table.get(id);
    const code = end - start !== 5 ? ErrorCode.FRAME_SIZE_ERROR : ErrorCode.PROTOCOL_ERROR;
    if (end - start === 5 && (source.readUInt32BE(start) & 0x7fffffff) !== id) return;
    if (stream !== undefined) connection.guard.streamError(stream, code);
    else if (connection.table.past(id) === Past.IDLE) throw new Http2Error(code, 'bad PRIORITY');
    else connection.guard.refuse(id, code);
  }

  private rstStream(id: number, source: Buffer, start: number, end: number): void {
    if (id === 0) throw protocolError('RST_STREAM on stream 0');
    fixedSize(end - start, 4);
    const { connection } = this;
    const stream = connection.table.get(id);
    if (stream !== undefined) connection.guard.resetByPeer(stream, source.readUInt32BE(start));
    else if (connection.table.past(id) === Past.IDLE) throw protocolError('RST_STREAM on an idle stream');
  }

  private settings(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocolError('SETTINGS on a stream');
    const { connection } = this;
    const length = end - start;
    if ((flags & FrameFlag.ACK) !== 0) {
      fixedSize(length, 0);
      if (connection.exchange.onAcknowledged())
        this.headerInput.decoder.acknowledge(connection.settings.headerTableSize);
      return;
    }
    if (length % 6 !== 0) throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'SETTINGS of a broken size');
    connection.guard.countControl();
    connection.exchange.apply(source, start, end);
  }

  private ping(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocolError('PING on a stream');
    fixedSize(end - start, 8);
    const { connection } = this;
    if ((flags & FrameFlag.ACK) !== 0) {
      connection.pings.onAnswered(source, start);
      return;
    }
    connection.guard.countControl();
    connection.guard.countPing();
    connection.pingAnswer.owe(source, start);
  }

  private goaway(id: number, source: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocolError('GOAWAY on a stream');
    if (end - start < 8) throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'GOAWAY too short');
    const last = source.readUInt32BE(start) & MAX_31_BITS;
    this.connection.guard.countControl();
    this.connection.away.receive(last, source.readUInt32BE(start + 4), source.subarray(start + 8, end));
  }

  private windowUpdate(id: number, source: Buffer, start: number, end: number): void {
    fixedSize(end - start, 4);
    const { connection } = this;
    const increment = source.readUInt32BE(start) & MAX_31_BITS;
    if (id === 0) {
      if (increment === 0) throw protocolError('WINDOW_UPDATE of 0');
      if (!connection.scheduler.credit(increment)) {
        throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'connection window over 2^31 - 1');
      }
      connection.wake();
      return;
    }
    const stream = connection.table.get(id);
    if (stream !== undefined) this.streamWindow(stream, increment);
    else if (connection.table.past(id) === Past.IDLE) throw protocolError('WINDOW_UPDATE on an idle stream');
  }

  private streamWindow(stream: Stream, increment: number): void {
    const { connection } = this;
    if (increment === 0) connection.guard.streamError(stream, ErrorCode.PROTOCOL_ERROR);
    else if (!stream.moveSendWindow(increment))
      connection.guard.streamError(stream, ErrorCode.FLOW_CONTROL_ERROR);
    else if (stream.inRing) connection.wake();
  }
}

/**
 * A part of what was read, copied where it would keep a buffer alive that is far larger: a request may wait for long,
 * and whatever else came with it is not counted for it.
 */
function part(source: Buffer, start: number, end: number): Buffer {
  const slice = source.subarray(start, end);
  const small = source.length > LARGE_BUFFER && slice.length < SHARE * source.length;
  return small ? Buffer.from(slice) : slice;
}

function fixedSize(length: number, expected: number): void {
  if (length !== expected)
    throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, `${length} octets instead of ${expected}`);
}
