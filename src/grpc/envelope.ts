/**
 * gRPC's message framing: one flag byte, four bytes of length, the message (grpc/grpc
 * `doc/PROTOCOL-HTTP2.md`, "Length-Prefixed-Message").
 */
import { gunzipSync } from 'node:zlib';
import { Code, RpcError } from '../rpc/status.ts';

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

/** Takes the messages of one direction of one call. */
export interface MessageSink {
  onMessage(message: Uint8Array): void;
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
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** @param encoding the `grpc-encoding` of this direction; `undefined` for none */
  constructor(limits: ReceiveLimits, encoding: string | undefined) {
    this.#limits = limits;
    this.#encoding = encoding;
  }

  /** Whether the bytes so far end between messages. */
  get complete(): boolean {
    return this.#bytes === 0;
  }

  /**
   * Takes the next bytes and hands on every message they complete: slices where possible, so valid for as long
   * as the receiver likes.
   * @returns the error that ends the call, after which the deframer must not be used
   */
  push(chunk: Buffer, sink: MessageSink): RpcError | undefined {
    let bytes = chunk;
    if (this.#bytes > 0) {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      const need = this.#needed();
      if (need instanceof RpcError) return need;
      if (this.#bytes < need) return undefined;
      bytes = Buffer.concat(this.#chunks, this.#bytes);
      this.#chunks = [];
      this.#bytes = 0;
    }
    return this.#cut(bytes, sink);
  }

  #cut(bytes: Buffer, sink: MessageSink): RpcError | undefined {
    let at = 0;
    while (bytes.length - at >= ENVELOPE_BYTES) {
      const length = bytes.readUInt32BE(at + 1);
      const error = this.#check(bytes[at] as number, length);
      if (error) return error;
      const end = at + ENVELOPE_BYTES + length;
      if (end > bytes.length) break;
      const message = this.#open(bytes[at] as number, bytes.subarray(at + ENVELOPE_BYTES, end));
      if (message instanceof RpcError) return message;
      sink.onMessage(message);
      at = end;
    }
    if (at < bytes.length) {
      this.#chunks.push(at === 0 ? bytes : bytes.subarray(at));
      this.#bytes = bytes.length - at;
    }
    return undefined;
  }

  /** How many bytes the message at the front needs, as far as its prefix has arrived. */
  #needed(): number | RpcError {
    if (this.#bytes < ENVELOPE_BYTES) return ENVELOPE_BYTES;
    let head = this.#chunks[0] as Buffer;
    if (head.length < ENVELOPE_BYTES) {
      head = Buffer.concat(this.#chunks, this.#bytes);
      this.#chunks = [head];
    }
    const length = head.readUInt32BE(1);
    return this.#check(head[0] as number, length) ?? ENVELOPE_BYTES + length;
  }

  #check(flag: number, length: number): RpcError | undefined {
    if (flag > 1) return new RpcError(Code.INTERNAL, `grpc: received unexpected payload format ${flag}`);
    if (length <= this.#limits.maxBytes) return undefined;
    return new RpcError(Code.RESOURCE_EXHAUSTED, this.#limits.tooLarge(length, this.#limits.maxBytes));
  }

  #open(flag: number, payload: Buffer): Uint8Array | RpcError {
    if (flag === 0) return payload;
    if (this.#encoding !== 'gzip') {
      return new RpcError(Code.INTERNAL, 'grpc: compressed flag set with identity or empty encoding');
    }
    try {
      return gunzipSync(payload, { maxOutputLength: Math.max(this.#limits.maxBytes, 1) });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        return new RpcError(
          Code.RESOURCE_EXHAUSTED,
          this.#limits.tooLarge(this.#limits.maxBytes + 1, this.#limits.maxBytes),
        );
      }
      return new RpcError(Code.INTERNAL, 'grpc: failed to decompress the received message');
    }
  }
}
