/**
 * Cuts the incoming bytes into frames (RFC 9113 section 4.1). Frames are handed on in place, as a range of
 * the chunk that was read; only a frame that crosses chunks is copied together.
 */
import { ErrorCode, Http2Error, protocolError } from './errors.ts';
import { FRAME_HEADER, PREFACE } from './frame.ts';

/** Receives each whole frame: its payload is `source[start, end)`. Throws Http2Error for a connection error. */
export interface FrameSink {
  /** True when no more frames are wanted, now or ever. */
  readonly stopped: boolean;
  frame(type: number, flags: number, id: number, source: Buffer, start: number, end: number): void;
}

const NOTHING = Buffer.alloc(0);

/** The input side of one connection. */
export class FrameReader {
  private readonly sink: FrameSink;
  private readonly maxFrameSize: number;
  /** Octets of the client's preface still to come (server role). */
  private prefaceLeft: number;
  private partial: Buffer = NOTHING;
  private have = 0;
  /** What had been read when no more frames were wanted. */
  private unread: Buffer | undefined = undefined;

  constructor(sink: FrameSink, maxFrameSize: number, expectPreface: boolean) {
    this.sink = sink;
    this.maxFrameSize = maxFrameSize;
    this.prefaceLeft = expectPreface ? PREFACE.length : 0;
  }

  /** True between the first and the last octet of a frame. */
  get incomplete(): boolean {
    return this.have > 0;
  }

  /**
   * Takes the next octets from the peer. Throws what the sink throws, and for frames that are too long. What the sink
   * does not want now comes before the octets of the next call.
   */
  feed(octets: Buffer): void {
    const chunk = this.unread === undefined ? octets : Buffer.concat([this.unread, octets]);
    this.unread = undefined;
    if (this.sink.stopped) {
      this.unread = chunk;
      return;
    }
    let at = this.prefaceLeft > 0 ? this.preface(chunk) : 0;
    if (this.have > 0) at = this.complete(chunk, at);
    const { sink } = this;
    while (chunk.length - at >= FRAME_HEADER && !sink.stopped) {
      const head = chunk.readUInt32BE(at);
      const start = at + FRAME_HEADER;
      const end = start + this.checkedLength(head);
      if (end > chunk.length) break;
      const id = chunk.readUInt32BE(at + 5) & 0x7fffffff;
      sink.frame(head & 0xff, chunk[at + 4] as number, id, chunk, start, end);
      at = end;
    }
    if (at === chunk.length) return;
    if (sink.stopped) this.unread = chunk.subarray(at);
    else this.keep(chunk, at);
  }

  private preface(chunk: Buffer): number {
    const length = Math.min(this.prefaceLeft, chunk.length);
    const from = PREFACE.length - this.prefaceLeft;
    if (PREFACE.compare(chunk, 0, length, from, from + length) !== 0)
      throw protocolError('bad connection preface');
    this.prefaceLeft -= length;
    return length;
  }

  private checkedLength(head: number): number {
    const length = head >>> 8;
    if (length > this.maxFrameSize)
      throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, `frame of ${length} octets`);
    return length;
  }

  /** Keeps the beginning of a frame for the next chunk. */
  private keep(chunk: Buffer, at: number): void {
    const rest = chunk.length - at;
    const whole =
      rest < FRAME_HEADER ? FRAME_HEADER : FRAME_HEADER + this.checkedLength(chunk.readUInt32BE(at));
    this.partial = Buffer.allocUnsafe(whole);
    this.have = chunk.copy(this.partial, 0, at);
  }

  /** Adds octets to the frame kept before; returns where the next one starts in the chunk. */
  private complete(chunk: Buffer, from: number): number {
    let at = this.fill(chunk, from, FRAME_HEADER);
    if (this.have < FRAME_HEADER) return at;
    const whole = FRAME_HEADER + this.checkedLength(this.partial.readUInt32BE(0));
    if (this.partial.length < whole) {
      const larger = Buffer.allocUnsafe(whole);
      this.partial.copy(larger, 0, 0, this.have);
      this.partial = larger;
    }
    at = this.fill(chunk, at, whole);
    if (this.have < whole) return at;
    const { partial } = this;
    this.have = 0;
    this.partial = NOTHING;
    const id = partial.readUInt32BE(5) & 0x7fffffff;
    this.sink.frame(partial[3] as number, partial[4] as number, id, partial, FRAME_HEADER, whole);
    return at;
  }

  private fill(chunk: Buffer, from: number, upTo: number): number {
    if (this.have >= upTo) return from;
    const to = Math.min(chunk.length, from + upTo - this.have);
    chunk.copy(this.partial, this.have, from, to);
    this.have += to - from;
    return to;
  }
}
