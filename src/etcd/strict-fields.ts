/**
 * The fields of a message, for layers that decide by them what a client may do: nothing may mean one thing to such a layer
 * and another to etcd behind it. What decoders read in different ways is therefore refused: etcd's take a tag of more than
 * 32 bits for the field that its lower bits name, and pass over groups.
 */
import { Code, RpcError } from '../rpc/status.ts';
import { MOST_FIELDS } from './bounded-fields.ts';

/** How deep messages may lie within each other, such as transactions and their operations; the decoders of etcd go no further either. */
export const MAX_DEPTH = 10_000;

/** Octets of the longest tag that has 32 bits. */
const TAG_OCTETS = 5;
/** Octets of the longest number. */
const NUMBER_OCTETS = 10;
const TAG_LIMIT = 2 ** 32;

/** For a request with more. One object, so that it can be told from others. */
export const TOO_MANY_STRICT_FIELDS = new RpcError(
  Code.RESOURCE_EXHAUSTED,
  `etcd-connect-proxy: the request has more than ${MOST_FIELDS} fields, which a namespace that is isolated does not take`,
);

/** Wire types, the lower three bits of a tag. */
const Wire = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const;

/** For bytes that are no message, with etcd's code for them. */
function malformed(what: string): RpcError {
  return new RpcError(Code.INTERNAL, `etcd-connect-proxy: the message is malformed (${what})`);
}

/**
 * The number that a message has in a field, of which the last one counts; zero where it has none.
 * @throws RpcError for bytes that are no message, and {@link TOO_MANY_STRICT_FIELDS}
 */
export function numberIn(message: Uint8Array, tag: number): bigint {
  let [from, to] = [0, 0];
  const fields = new StrictFields(message);
  for (let left = MOST_FIELDS; fields.next(); left--) {
    if (left === 0) throw TOO_MANY_STRICT_FIELDS;
    if (fields.tag === tag) ({ from, to } = fields);
  }
  return int64At(message, from, to);
}

/** The signed number of 64 bits that lies there; zero in no bytes. */
function int64At(bytes: Uint8Array, from: number, to: number): bigint {
  let value = 0n;
  for (let at = from, shift = 0n; at < to; at++, shift += 7n)
    value |= BigInt((bytes[at] as number) & 0x7f) << shift;
  return BigInt.asIntN(64, value);
}

/** A position among the fields of an encoded message. */
export class StrictFields {
  readonly bytes: Uint8Array;
  /** Number and wire type of the field. */
  tag = 0;
  /** Where the field begins, its tag included. */
  start: number;
  /** Where its value begins: the number, or what is delimited. */
  from: number;
  /** Where it ends. */
  to: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, from = 0, to = bytes.length) {
    this.bytes = bytes;
    this.start = from;
    this.from = from;
    this.to = from;
    this.#end = to;
  }

  /** Goes on to the next field. @returns whether there is one @throws RpcError for bytes that are no message */
  next(): boolean {
    this.start = this.to;
    if (this.start === this.#end) return false;
    const tag = this.#varint(TAG_OCTETS);
    if (tag >= TAG_LIMIT || tag < 8) throw malformed('tag');
    this.tag = tag;
    this.from = this.to;
    const wire = tag & 7;
    if (wire === Wire.varint) this.#varint(NUMBER_OCTETS);
    else if (wire === Wire.fixed64) this.to += 8;
    else if (wire === Wire.fixed32) this.to += 4;
    else if (wire === Wire.delimited) {
      const length = this.#varint(NUMBER_OCTETS);
      this.from = this.to;
      this.to += length;
    } else throw malformed('wire type');
    if (this.to > this.#end) throw malformed('length');
    return true;
  }

  /** The value as a signed number of 64 bits. */
  int64(): bigint {
    return int64At(this.bytes, this.from, this.to);
  }

  /** The fields of the message that is the value. */
  inner(): StrictFields {
    return new StrictFields(this.bytes, this.from, this.to);
  }

  /** An unsigned varint at `to`, which moves behind it; exact up to 2^53, and above that never less. */
  #varint(octets: number): number {
    const last = Math.min(this.#end, this.to + octets);
    let value = 0;
    for (let scale = 1; this.to < last; scale *= 128) {
      const octet = this.bytes[this.to++] as number;
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
    }
    throw malformed('varint');
  }
}
