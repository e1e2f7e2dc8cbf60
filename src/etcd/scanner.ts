/** Reads protobuf fields in place, for messages of which only some bytes matter. */
import { Code, RpcError } from '../rpc/status.ts';

/**
 * Thrown for bytes that are no message. Readers of requests catch it, so where it goes further a reply of etcd was read, as
 * its text says.
 */
export class MalformedMessage extends RpcError {
  constructor(what: string) {
    super(Code.INTERNAL, `etcd-connect-proxy: etcd's reply is malformed (${what})`);
  }
}

/** A position in an encoded message. */
export class Scanner {
  readonly bytes: Buffer;
  pos: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = start;
    this.end = end;
  }

  get done(): boolean {
    return this.pos >= this.end;
  }

  /** An unsigned varint; exact up to 2^53. */
  varint(): number {
    const { bytes } = this;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.pos >= this.end) break;
      const byte = bytes[this.pos++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new MalformedMessage('varint');
  }

  /** A signed 64-bit varint; exact up to 2^53 either way. */
  int64(): number {
    const from = this.pos;
    const value = this.varint();
    if (value < 2 ** 63) return value;
    let exact = 0n;
    for (let at = from, shift = 0n; at < this.pos; at++, shift += 7n)
      exact |= BigInt((this.bytes[at] as number) & 0x7f) << shift;
    return Number(BigInt.asIntN(64, exact));
  }

  /** A varint as it is written, for numbers that are only compared. */
  rawVarint(): string {
    const from = this.pos;
    this.varint();
    return this.bytes.toString('latin1', from, this.pos);
  }

  /** The end of a length-delimited field whose length comes next; `pos` is its start then. */
  delimited(): number {
    const length = this.varint();
    const end = this.pos + length;
    if (end > this.end) throw new MalformedMessage('length');
    return end;
  }

  /** Passes by a field of this wire type. */
  skip(wireType: number): void {
    if (wireType === 0) this.varint();
    else if (wireType === 2) this.pos = this.delimited();
    else if (wireType === 1) this.pos += 8;
    else if (wireType === 5) this.pos += 4;
    else throw new MalformedMessage('wire type');
    if (this.pos > this.end) throw new MalformedMessage('end');
  }
}

/**
 * How many bytes at the beginning of some are whole fields, and how long the field behind them is, as far as its own
 * beginning tells. @throws MalformedMessage
 */
export function wholeFields(bytes: Uint8Array): { readonly length: number; readonly next: number } {
  const scan = new Scanner(bytes);
  for (;;) {
    const start = scan.pos;
    // A tag, and a number or a length, each of at most ten bytes: cut off within these, a field says nothing.
    const isCut = scan.end - start < FIELD_HEAD && !hasHead(bytes, start);
    const end = isCut ? scan.end + 1 : fieldEnd(scan);
    if (end > scan.end) return { length: start, next: end - start };
    scan.pos = end;
  }
}

/** Bytes within which a field has told its length. */
const FIELD_HEAD = 20;

/** Whether two varints are whole, where a field that is a number has only one of them behind its tag. */
function hasHead(bytes: Uint8Array, start: number): boolean {
  let numbers = 0;
  for (let at = start; at < bytes.length; at++)
    if ((bytes[at] as number) < 0x80 && ++numbers === 2) return true;
  return false;
}

/** Where the field at the scanner ends, whether or not all of it is there. */
function fieldEnd(scan: Scanner): number {
  const wireType = scan.varint() & 7;
  if (wireType === 2) {
    const length = scan.varint();
    return scan.pos + length;
  }
  if (wireType === 1) return scan.pos + 8;
  if (wireType === 5) return scan.pos + 4;
  if (wireType !== 0) throw new MalformedMessage('wire type');
  scan.varint();
  return scan.pos;
}
