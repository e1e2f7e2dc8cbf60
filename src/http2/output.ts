/**
 * The output side of one connection: collects the frames of a turn and hands them to the socket in one
 * write. Small frames are copied into a slab, long data goes out by reference (writev).
 *
 *   slab     [ given to the socket | start: frames of this turn :used | free ]
 *   pieces   finished parts of this turn that come before `start`
 */
import type { Socket } from 'node:net';
import { FRAME_HEADER, FrameFlag, FrameType, writeFrameHeader, writeUint32 } from './frame.ts';
import { freeSlab, takeSlab } from './slab-pool.ts';

/** Longer parts are not copied. */
const COPY_LIMIT = 2048;
/** With so much waiting in the socket or collected for it, data is held back in the streams. */
const FULL = 256 << 10;

const NO_SLAB = Buffer.alloc(0);

/** Is told when the socket has written what it was given. */
export interface OutputOwner {
  onOutputWritten(): void;
}

/** Frames on their way to one socket. */
export class Output {
  /** Counts the flushes; what was appended in the present epoch has not reached the socket. */
  epoch = 0;
  /** Octets appended since the last flush. */
  pending = 0;
  /** Moves with every HEADERS and DATA frame. */
  messages = 0;
  /** The peer's SETTINGS_MAX_FRAME_SIZE. */
  maxFrame = 16_384;
  /** Our next field block must announce that the dynamic table is not used (RFC 7541 section 4.2). */
  announceNoTable = false;
  private readonly socket: Socket;
  private readonly owner: OutputOwner;
  private slab: Buffer = NO_SLAB;
  private start = 0;
  private used = 0;
  private pieces: Uint8Array[] = [];
  /** Full slabs, the first one first, each with the epoch in which it was full. */
  private retired: { readonly slab: Buffer; readonly epoch: number }[] = [];
  private writing = 0;
  private readonly written: () => void;

  constructor(socket: Socket, owner: OutputOwner) {
    this.socket = socket;
    this.owner = owner;
    this.written = () => this.afterWrite();
  }

  /** True while the socket still works on an earlier write. */
  get busy(): boolean {
    return this.writing > 0;
  }

  /** Octets the socket has taken from us but not written. */
  get unread(): number {
    return this.socket.writableLength;
  }

  /** True while data should wait in its stream. */
  get full(): boolean {
    return this.pending >= FULL || this.socket.writableLength >= FULL;
  }

  /** Octets that may be appended until it is full. */
  get space(): number {
    return FULL - Math.max(this.pending, this.socket.writableLength);
  }

  /** Appends one frame with a payload that is copied or kept by reference. */
  frame(type: number, flags: number, id: number, payload: Uint8Array): void {
    this.head(payload.length, type, flags, id);
    this.bytes(payload);
  }

  /** Appends a frame header; the payload follows with `bytes`. */
  head(length: number, type: number, flags: number, id: number): void {
    const at = this.room(FRAME_HEADER);
    if (type <= FrameType.HEADERS) this.messages++;
    writeFrameHeader(this.slab, at, length, type, flags, id);
  }

  /** Appends a DATA frame with a payload in two parts, the first of them short and copied. */
  joined(id: number, head: Uint8Array, tail: Uint8Array): void {
    const length = head.length + tail.length;
    const copied = tail.length <= COPY_LIMIT ? length : head.length;
    const at = this.room(FRAME_HEADER + copied);
    this.messages++;
    writeFrameHeader(this.slab, at, length, FrameType.DATA, 0, id);
    this.slab.set(head, at + FRAME_HEADER);
    if (copied === length) this.slab.set(tail, at + FRAME_HEADER + head.length);
    else this.bytes(tail);
  }

  /** Appends octets of a payload. */
  bytes(part: Uint8Array): void {
    if (part.length > COPY_LIMIT) {
      this.closePiece();
      this.pieces.push(part);
      this.pending += part.length;
    } else if (part.length > 0) {
      const at = this.room(part.length);
      this.slab.set(part, at);
    }
  }

  /** Appends a frame whose payload is one 32-bit number: RST_STREAM, WINDOW_UPDATE. */
  number(type: number, id: number, value: number): void {
    const at = this.room(FRAME_HEADER + 4);
    writeFrameHeader(this.slab, at, 4, type, 0, id);
    writeUint32(this.slab, at + FRAME_HEADER, value);
  }

  /** Appends GOAWAY (RFC 9113 section 6.8). */
  goaway(lastStreamId: number, code: number, debug: string): void {
    const payload = Buffer.alloc(8 + Buffer.byteLength(debug));
    writeUint32(payload, 0, lastStreamId);
    writeUint32(payload, 4, code);
    payload.write(debug, 8);
    this.frame(FrameType.GOAWAY, 0, 0, payload);
  }

  /** Appends a field block, split into CONTINUATION frames where the peer needs it (RFC 9113 section 6.10). */
  headers(id: number, block: Uint8Array, endStream: boolean): void {
    const flag = endStream ? FrameFlag.END_STREAM : 0;
    if (this.announceNoTable) {
      this.announceNoTable = false;
      this.headers(id, Buffer.concat([Buffer.of(0x20), block]), endStream);
      return;
    }
    if (block.length <= this.maxFrame) {
      this.frame(FrameType.HEADERS, flag | FrameFlag.END_HEADERS, id, block);
      return;
    }
    for (let at = 0; at < block.length; at += this.maxFrame) {
      const last = at + this.maxFrame >= block.length ? FrameFlag.END_HEADERS : 0;
      const type = at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
      this.frame(type, at === 0 ? flag | last : last, id, block.subarray(at, at + this.maxFrame));
    }
  }

  /** Hands everything appended since the last flush to the socket. */
  flush(): void {
    if (this.pending === 0) return;
    const { socket } = this;
    this.epoch++;
    this.pending = 0;
    this.writing++;
    if (this.pieces.length === 0) {
      socket.write(this.slab.subarray(this.start, this.used), this.written);
      this.start = this.used;
      return;
    }
    this.closePiece();
    const { pieces } = this;
    const last = pieces.length - 1;
    this.pieces = [];
    socket.cork();
    for (let i = 0; i < last; i++) socket.write(pieces[i] as Uint8Array);
    socket.write(pieces[last] as Uint8Array, this.written);
    socket.uncork();
  }

  /** Makes room for `length` octets (at most a slab) in the slab and returns where. */
  private room(length: number): number {
    if (this.used + length > this.slab.length) {
      this.closePiece();
      if (this.slab !== NO_SLAB) this.retired.push({ slab: this.slab, epoch: this.epoch });
      this.slab = takeSlab();
      this.start = 0;
      this.used = 0;
    }
    const at = this.used;
    this.used += length;
    this.pending += length;
    return at;
  }

  private closePiece(): void {
    if (this.used > this.start) this.pieces.push(this.slab.subarray(this.start, this.used));
    this.start = this.used;
  }

  /** Slabs can be used again when the socket holds nothing of them. */
  private afterWrite(): void {
    this.writing--;
    this.owner.onOutputWritten();
    this.freeWritten();
    if (this.writing > 0 || this.pending > 0) return;
    if (this.slab !== NO_SLAB) freeSlab(this.slab);
    this.slab = NO_SLAB;
    this.start = 0;
    this.used = 0;
  }

  /** The last octets of a full slab go with the flush that ends its epoch. A busy socket always has one more to write. */
  private freeWritten(): void {
    const { retired } = this;
    const written = this.epoch - this.writing;
    let count = 0;
    for (let full = retired[0]; full !== undefined && full.epoch < written; full = retired[++count]) {
      freeSlab(full.slab);
    }
    if (count > 0) retired.splice(0, count);
  }
}
