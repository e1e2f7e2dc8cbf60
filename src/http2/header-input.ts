/**
 * Field blocks as they arrive: puts HEADERS and CONTINUATION frames together (RFC 9113 section 6.10), keeps
 * the HPACK decoder in step, and opens streams, answers them or ends them with trailers.
 */
import { callStream } from './dispatch.ts';
import { ErrorCode, Http2Error, protocolError } from './errors.ts';
import { FrameFlag } from './frame.ts';
import type { GoingAway } from './going-away.ts';
import type { Guard } from './guard.ts';
import { isRequest, isResponse, isTrailers } from './header-rules.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import { encodeHeaders } from './hpack/encoder.ts';
import { FirstBlocks } from './hpack/first-blocks.ts';
import type { HeaderBlock } from './hpack/header-block.ts';
import type { RequestIntake } from './request-intake.ts';
import type { SettingsExchange } from './settings-exchange.ts';
import { Stream, type StreamConnection } from './stream.ts';
import { Past, type StreamTable } from './stream-table.ts';

/** RFC 6585 section 5: the answer to a field section over the limit. */
const TOO_LARGE = encodeHeaders([':status', '431', 'content-length', '0']);

/**
 * A block so many times the limit, encoded or decoded, is an error of the connection. To a client it is one answer of many:
 * servers that quote the request in their error make nine octets of one that is no text, and Go's HTTP server knows no limit.
 */
const FAR_OVER_ENCODED = 2;
const FAR_OVER_DECODED = 4;
const FAR_OVER_FOR_CLIENT = 16;

/** Of all connections of clients. */
const firstBlocks = new FirstBlocks();

/** The connection that field blocks arrive on. */
export interface OpenedConnection extends StreamConnection {
  readonly away: GoingAway;
  readonly exchange: SettingsExchange;
  readonly guard: Guard;
  readonly intake: RequestIntake;
  readonly table: StreamTable;
}

/** The field blocks of one connection's input. */
export class HeaderInput {
  readonly decoder: HpackDecoder;
  private readonly connection: OpenedConnection;
  private fragments: Buffer[] = [];
  private collected = 0;
  private id = 0;
  private endStream = false;
  /** The HEADERS frame made its stream depend on itself. */
  private dependsOnItself = false;

  constructor(connection: OpenedConnection) {
    const { headerTableSize, maxHeaderListSize } = connection.settings;
    const most = connection.isServer ? FAR_OVER_DECODED : FAR_OVER_FOR_CLIENT;
    this.connection = connection;
    const firsts = connection.isServer ? firstBlocks : undefined;
    this.decoder = new HpackDecoder(headerTableSize, maxHeaderListSize, most, firsts);
  }

  /** True between a HEADERS frame and the last of its CONTINUATION frames. */
  get open(): boolean {
    return this.fragments.length > 0;
  }

  /** The stream of the field block that is incomplete; 0 when none is. */
  get openBlock(): number {
    return this.open ? this.id : 0;
  }

  /** A HEADERS frame. */
  headers(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (id % 2 === 0) throw protocolError('HEADERS on a stream no client can open');
    let from = start;
    let to = end;
    if ((flags & FrameFlag.PADDED) !== 0) {
      if (start === end) throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'HEADERS without pad length');
      to -= source[from++] as number;
    }
    this.id = id;
    this.endStream = (flags & FrameFlag.END_STREAM) !== 0;
    this.dependsOnItself = false;
    if ((flags & FrameFlag.PRIORITY) !== 0) {
      if (from + 5 > end) throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, 'HEADERS without priority');
      this.dependsOnItself = (source.readUInt32BE(from) & 0x7fffffff) === id;
      from += 5;
    }
    if (from > to) throw protocolError('padding longer than its frame');
    if ((flags & FrameFlag.END_HEADERS) !== 0) this.decoded(this.decoder.decode(source, from, to));
    else this.collect(source, from, to);
  }

  /** A CONTINUATION frame. */
  continuation(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (!this.open || id !== this.id) throw protocolError('CONTINUATION without HEADERS');
    this.collect(source, start, end);
    if ((flags & FrameFlag.END_HEADERS) === 0) return;
    const whole = Buffer.concat(this.fragments, this.collected);
    this.connection.intake.fragment(-this.collected);
    this.fragments = [];
    this.collected = 0;
    this.decoded(this.decoder.decode(whole, 0, whole.length));
  }

  private collect(source: Buffer, start: number, end: number): void {
    const { connection } = this;
    this.fragments.push(Buffer.from(source.subarray(start, end)));
    this.collected += end - start;
    if (!connection.intake.fragment(end - start)) {
      throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'too much is held for requests');
    }
    if (this.fragments.length - 1 > connection.settings.maxContinuationFrames) {
      throw connection.reports.over('maxContinuationFrames', 'too many CONTINUATION frames');
    }
    // An encoder hardly makes a list longer than it is, so this is over the limit once decoded too.
    const most = connection.isServer ? FAR_OVER_ENCODED : FAR_OVER_FOR_CLIENT;
    if (this.collected > most * connection.settings.maxHeaderListSize) {
      throw connection.reports.over('maxHeaderListSize', 'field block far over the limit');
    }
  }

  private decoded(block: HeaderBlock): void {
    const { connection, id } = this;
    if (block.tooLarge) connection.reports.reached('maxHeaderListSize');
    const stream = connection.table.get(id);
    if (stream !== undefined && this.dependsOnItself)
      connection.guard.streamError(stream, ErrorCode.PROTOCOL_ERROR);
    else if (stream === undefined) this.unknown(block);
    else if (stream.input.ended) connection.guard.streamError(stream, ErrorCode.STREAM_CLOSED);
    else if (connection.isServer || stream.answered) this.trailers(stream, block);
    else this.response(stream, block);
  }

  /** Field block of a stream that is not in the table: new, or no longer there. */
  private unknown(block: HeaderBlock): void {
    const { connection, id } = this;
    const { table } = connection;
    if (connection.isServer && id > table.lastPeerId) {
      table.usePeerId(id);
      this.request(block);
      return;
    }
    const past = connection.table.past(id);
    if (past === Past.IDLE || past === Past.SKIPPED)
      throw protocolError('HEADERS on a stream that cannot be opened');
    if (past === Past.ENDED) throw new Http2Error(ErrorCode.STREAM_CLOSED, 'HEADERS after END_STREAM');
    if (past === Past.RESET_BY_PEER) connection.guard.refuse(id, ErrorCode.STREAM_CLOSED);
  }

  private request(block: HeaderBlock): void {
    const { connection, id } = this;
    if (connection.away.ignoresNewStreams) return;
    if (connection.table.size >= connection.settings.maxConcurrentStreams) {
      connection.reports.reached('maxConcurrentStreams');
      connection.guard.refuse(id, ErrorCode.REFUSED_STREAM);
    } else if (this.dependsOnItself) {
      connection.guard.refuse(id, ErrorCode.PROTOCOL_ERROR);
    } else if (block.tooLarge) {
      connection.output.headers(id, TOO_LARGE, true);
      if (!this.endStream) connection.guard.refuse(id, ErrorCode.NO_ERROR);
    } else if (!isRequest(block) || !this.pathTaken(block) || (this.endStream && block.contentLength > 0)) {
      connection.guard.refuse(id, ErrorCode.PROTOCOL_ERROR);
    } else {
      this.openStream(block);
    }
  }

  private pathTaken({ oddPath, list }: HeaderBlock): boolean {
    return !oddPath || this.connection.listener.takesOddPath?.(list) === true;
  }

  private openStream(block: HeaderBlock): void {
    const { connection } = this;
    const stream = new Stream(
      connection,
      this.id,
      block.list,
      connection.exchange.peer.initialWindowSize,
      connection.exchange.receiveWindow,
    );
    const { endStream } = this;
    stream.input.expected = block.contentLength;
    stream.input.ended = endStream;
    connection.table.add(stream);
    const waits = connection.guard.gate.holds(stream);
    if (!waits) callStream(stream);
    if (!stream.closed) connection.intake.onOpened(stream, block.size);
    if (waits) return;
    if (endStream) stream.input.end();
  }

  private response(stream: Stream, block: HeaderBlock): void {
    const { connection, endStream } = this;
    if (block.tooLarge) {
      connection.guard.streamError(stream, ErrorCode.ENHANCE_YOUR_CALM);
    } else if (!isResponse(block) || (block.status < 200 && (endStream || block.status === 101))) {
      connection.guard.streamError(stream, ErrorCode.PROTOCOL_ERROR);
    } else if (block.status < 200) {
      connection.guard.countControl();
    } else {
      stream.answered = true;
      stream.input.expected = block.contentLength;
      stream.input.ended = endStream;
      stream.input.headers(block.list, false, endStream);
      if (endStream) stream.input.end();
    }
  }

  private trailers(stream: Stream, block: HeaderBlock): void {
    const { connection } = this;
    if (block.tooLarge) connection.guard.streamError(stream, ErrorCode.ENHANCE_YOUR_CALM);
    else if (!this.endStream || !isTrailers(block))
      connection.guard.streamError(stream, ErrorCode.PROTOCOL_ERROR);
    else if (!stream.input.lengthHolds()) connection.guard.streamError(stream, ErrorCode.PROTOCOL_ERROR);
    else {
      if (connection.isServer) connection.intake.onArrived(stream, block.size);
      if (stream.closed) return;
      stream.input.ended = true;
      stream.input.headers(block.list, true, true);
      stream.input.end();
    }
  }
}
