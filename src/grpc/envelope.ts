/**
 * gRPC's message framing: one flag byte, four bytes of length, the message (grpc/grpc
 * `doc/PROTOCOL-HTTP2.md`, "Length-Prefixed-Message").
 */
import type { PartSink } from '../rpc/contract.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { BROKEN, TOO_LARGE, type Unpacked, unpackLine, unpackSmall } from '../rpc/unpack.ts';
import { Chunks } from './chunks.ts';

/** Bytes in front of each message. */
export const ENVELOPE_BYTES = 5;

/** Up to this size a message is copied behind its prefix, which is cheaper than a DATA frame of its own. */
const COPY_BYTES = 16_384;

/** The prefix of an uncompressed message. */
export function envelopeHead(length: number): Buffer {
  const head = Buffer.allocUnsafe(ENVELOPE_BYTES);
  head[0] = 0;
  head.writeUInt32BE(length, 1);
  return head;
}

/** The prefix of a message and the first part of it. The result is valid until the next call only. */
export function envelopeStart(head: Uint8Array, rest: number): Buffer {
  const length = ENVELOPE_BYTES + head.length;
  let start = starts[head.length];
  if (start === undefined) {
    start = Buffer.alloc(length);
    if (head.length < MAX_START) starts[head.length] = start;
  }
  start.writeUInt32BE(head.length + rest, 1);
  start.set(head, ENVELOPE_BYTES);
  return start;
}

/** Buffers that {@link envelopeStart} uses again, by length of the part, up to this length. */
const MAX_START = 64;
const starts: Buffer[] = [];

/** A small message behind its prefix as one piece, or `undefined` when it should travel as two. */
export function smallEnvelope(message: Uint8Array): Buffer | undefined {
  const length = message.length;
  if (length > COPY_BYTES) return undefined;
  const bytes = Buffer.allocUnsafe(ENVELOPE_BYTES + length);
  bytes[0] = 0;
  bytes.writeUInt32BE(length, 1);
  bytes.set(message, ENVELOPE_BYTES);
  return bytes;
}

/** A message of this length and more comes in parts, where somebody takes them, each but the last at least as long as that. */
const LONG_BYTES = 1 << 20;
const PART_BYTES = 256 << 10;

/** Takes the messages of one direction of one call. */
export interface MessageSink {
  /** Takes those that are long and not compressed. */
  readonly parts?: PartSink | undefined;
  onMessage(message: Uint8Array): void;
  /** A message is unpacked on another thread: no more bytes may come until {@link onUnpacked}. @returns whose it is */
  onUnpacking(): object;
  /** That is over, and so are the messages that had arrived behind it; with an error the call ends. */
  onUnpacked(error: RpcError | undefined): void;
}

/** What a receiver accepts. */
export interface ReceiveLimits {
  /** Largest message in bytes, before and after decompression. */
  readonly maxBytes: number;
  /** The text of the error for a message over the limit, in gRPC's own words. */
  readonly tooLarge: (size: number, limit: number) => string;
}

/** Cuts a stream of bytes into messages. Memory held is what arrived, never what a prefix announced. */
export class Deframer {
  readonly #limits: ReceiveLimits;
  readonly #encoding: string | undefined;
  readonly #chunks = new Chunks();
  /** So many bytes are still to come of a message that is handed on in parts. */
  #left = 0;
  /** A message is being unpacked. */
  #busy = false;
  /** So many bytes it has. */
  #packed = 0;
  #drop: (() => void) | undefined;
  #stopped = false;

  /** @param encoding the `grpc-encoding` of this direction; `undefined` for none */
  constructor(limits: ReceiveLimits, encoding: string | undefined) {
    this.#limits = limits;
    this.#encoding = encoding;
  }

  /** Whether the bytes so far end between messages. */
  get complete(): boolean {
    return this.#chunks.length === 0 && this.#left === 0 && !this.#busy;
  }

  /** Bytes of messages that were not handed on yet: one is not complete, or is being unpacked. */
  get pending(): number {
    return this.#chunks.length + this.#packed;
  }

  /** Nobody waits for messages any more: none is handed on or unpacked; only what a thread has already begun is done. */
  stop(): void {
    this.#stopped = true;
    this.#drop?.();
  }

  /**
   * Takes the next bytes and hands on every message they complete: slices where possible, so valid for as long
   * as the receiver likes.
   * @returns the error that ends the call, after which the deframer must not be used
   */
  push(chunk: Buffer, sink: MessageSink): RpcError | undefined {
    let bytes = chunk;
    const chunks = this.#chunks;
    if (this.#busy) {
      chunks.add(chunk);
      return undefined;
    }
    if (this.#left > 0) return this.#part(chunk, sink);
    if (chunks.length > 0) {
      chunks.add(chunk);
      const need = this.#needed(sink);
      if (need instanceof RpcError) return need;
      if (chunks.length < need) return undefined;
      bytes = chunks.take();
    }
    return this.#cut(bytes, sink);
  }

  #cut(bytes: Buffer, sink: MessageSink): RpcError | undefined {
    let at = 0;
    while (!this.#stopped && bytes.length - at >= ENVELOPE_BYTES) {
      const flag = bytes[at] as number;
      const length = bytes.readUInt32BE(at + 1);
      const error = this.#check(flag, length);
      if (error) return error;
      const end = at + ENVELOPE_BYTES + length;
      if (inParts(flag, length, sink)) {
        this.#left = length;
        return this.#part(bytes.subarray(at + ENVELOPE_BYTES), sink);
      }
      if (end > bytes.length) break;
      const payload = bytes.subarray(at + ENVELOPE_BYTES, end);
      at = end;
      if (flag === 0) sink.onMessage(payload);
      else {
        const opened = this.#open(payload, sink);
        if (opened !== undefined) return opened;
        if (this.#busy) break;
      }
    }
    if (at < bytes.length && !this.#stopped) this.#chunks.add(at === 0 ? bytes : bytes.subarray(at));
    return undefined;
  }

  /** The next bytes of a message that is handed on in parts, and what comes behind it. */
  #part(bytes: Buffer, sink: MessageSink): RpcError | undefined {
    const own = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= own.length;
    this.#chunks.add(own);
    if (this.#chunks.length >= PART_BYTES || this.#left === 0)
      sink.parts?.onPart(this.#chunks.take(), this.#left);
    return own.length < bytes.length ? this.#cut(bytes.subarray(own.length), sink) : undefined;
  }

  /** How many bytes the message at the front needs, as far as its prefix has arrived. */
  #needed(sink: MessageSink): number | RpcError {
    if (this.#chunks.length < ENVELOPE_BYTES) return ENVELOPE_BYTES;
    const head = this.#chunks.front(ENVELOPE_BYTES);
    const flag = head[0] as number;
    const length = head.readUInt32BE(1);
    return this.#check(flag, length) ?? ENVELOPE_BYTES + (inParts(flag, length, sink) ? 0 : length);
  }

  #check(flag: number, length: number): RpcError | undefined {
    if (flag > 1) return new RpcError(Code.INTERNAL, `grpc: received unexpected payload format ${flag}`);
    if (length <= this.#limits.maxBytes) return undefined;
    return tooLargeError(this.#limits, length);
  }

  /** Unpacks a message, now or on another thread. */
  #open(payload: Buffer, sink: MessageSink): RpcError | undefined {
    if (this.#encoding !== 'gzip')
      return new RpcError(Code.INTERNAL, 'grpc: compressed flag set with identity or empty encoding');
    const { maxBytes } = this.#limits;
    const unpacked = unpackSmall(payload, maxBytes);
    if (unpacked !== undefined) return this.#opened(unpacked, sink);
    this.#busy = true;
    this.#packed = ENVELOPE_BYTES + payload.length;
    this.#drop = unpackLine.unpack(sink.onUnpacking(), payload, maxBytes, (result) => {
      if (this.#stopped) return;
      this.#busy = false;
      this.#packed = 0;
      const error = this.#opened(result, sink) ?? this.#cut(this.#chunks.take(), sink);
      // The next message may have gone to another thread, too.
      if (error !== undefined || !this.#busy) sink.onUnpacked(error);
    });
    return undefined;
  }

  #opened(unpacked: Unpacked, sink: MessageSink): RpcError | undefined {
    if (unpacked === BROKEN)
      return new RpcError(Code.INTERNAL, 'grpc: failed to decompress the received message');
    if (unpacked === TOO_LARGE) return tooLargeError(this.#limits, this.#limits.maxBytes + 1);
    sink.onMessage(unpacked);
    return undefined;
  }
}

/** Whether a message is handed on in parts. */
function inParts(flag: number, length: number, { parts }: MessageSink): boolean {
  return flag === 0 && length >= LONG_BYTES && parts !== undefined;
}

function tooLargeError({ maxBytes, tooLarge }: ReceiveLimits, size: number): RpcError {
  return new RpcError(Code.RESOURCE_EXHAUSTED, tooLarge(size, maxBytes), undefined, 'too-large');
}
