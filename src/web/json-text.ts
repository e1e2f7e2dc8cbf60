/**
 * Encoded messages as the JSON of etcd's gateway, straight from their bytes: names as in the `.proto` file, zero values left
 * out, 64-bit numbers as text. It reads what every encoder writes, fields in the order of their numbers and none twice; of
 * anything else the library makes the text, and says what is wrong with it.
 */
import { type DescField, type DescMessage, fromBinary, toJsonString } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import type { JsonForm } from './json-pieces.ts';
import { type JsonField, type JsonTable, jsonTable } from './json-table.ts';

/** Thrown at what is left to the library. */
const ODD = Symbol('odd');

/** Bytes of a number that is exact as one of JavaScript's. */
const EXACT_BYTES = 7;
/** Bytes of the longest number. */
const MOST_BYTES = 10;

/** The JSON of etcd's gateway, for `jsonPieces`. */
export const ETCD_FORM: JsonForm = { nameOf: ({ name }: DescField) => name, textOf: etcdJson };

/** The JSON of a message. @throws Error for bytes that are no such message */
export function etcdJson(schema: DescMessage, message: Uint8Array): string {
  try {
    return new Text(message).message(jsonTable(schema), message.length);
  } catch (thrown) {
    if (thrown !== ODD) throw thrown;
    return toJsonString(schema, fromBinary(schema, message), { useProtoFieldName: true });
  }
}

class Text {
  readonly #bytes: Buffer;
  #at = 0;

  constructor({ buffer, byteOffset, length }: Uint8Array) {
    this.#bytes = Buffer.from(buffer, byteOffset, length);
  }

  /** The message that ends there. @throws ODD */
  message({ byNumber }: JsonTable, end: number): string {
    let text = '{';
    let last: JsonField | undefined;
    let oneof: object | undefined;
    while (this.#at < end) {
      const tag = this.#length();
      const field = byNumber[tag >>> 3];
      if (field === undefined) {
        this.#skip(tag & 7);
        continue;
      }
      const again = field === last;
      if (field.wireType !== (tag & 7) || field.number < (last?.number ?? 0) || (again && !field.list))
        throw ODD;
      if (field.oneof !== undefined) {
        if (field.oneof === oneof) throw ODD;
        oneof = field.oneof;
      }
      const value = this.#value(field);
      if (value === '') continue;
      if (!again && last?.list) text += ']';
      if (last !== undefined) text += ',';
      if (!again) text += field.list ? `${field.label}[` : field.label;
      text += value;
      last = field;
    }
    if (this.#at !== end) throw ODD;
    return last?.list ? `${text}]}` : `${text}}`;
  }

  /** A value; empty when it stands for none. */
  #value(field: JsonField): string {
    if (field.wireType === WireType.LengthDelimited) return this.#delimited(field);
    const value = this.#number();
    if (value === 0 && !field.explicit) return '';
    switch (field.kind) {
      case 'bool':
        return value === 0 ? 'false' : 'true';
      case 'int64':
        return `"${typeof value === 'number' ? value : BigInt.asIntN(64, value)}"`;
      case 'uint64':
        return `"${value}"`;
      case 'int32':
        return String(asInt32(value));
      case 'uint32':
        return String(asInt32(value) >>> 0);
      case 'enum': {
        const number = asInt32(value);
        const name = field.values?.value[number]?.name;
        return name === undefined ? String(number) : `"${name}"`;
      }
      default:
        throw ODD;
    }
  }

  #delimited({ kind, explicit, message }: JsonField): string {
    const length = this.#length();
    const start = this.#at;
    const end = start + length;
    if (end > this.#bytes.length) throw ODD;
    if (message !== undefined) return this.message(jsonTable(message), end);
    this.#at = end;
    if (length === 0 && !explicit) return '';
    if (kind === 'bytes') return `"${this.#bytes.toString('base64', start, end)}"`;
    return JSON.stringify(this.#bytes.toString('utf8', start, end));
  }

  /** A tag or a length. */
  #length(): number {
    const value = this.#number();
    if (typeof value !== 'number') throw ODD;
    return value;
  }

  #number(): number | bigint {
    const bytes = this.#bytes;
    const start = this.#at;
    let value = 0;
    let unit = 1;
    for (let at = start; at < start + EXACT_BYTES; at++) {
      const byte = bytes[at];
      if (byte === undefined) throw ODD;
      value += (byte & 0x7f) * unit;
      unit *= 0x80;
      if (byte < 0x80) {
        this.#at = at + 1;
        return value;
      }
    }
    return this.#large(value);
  }

  /** A number that may have more digits. @param low what its first bytes say */
  #large(low: number): bigint {
    const start = this.#at;
    let value = BigInt(low);
    for (let count = EXACT_BYTES; count < MOST_BYTES; count++) {
      const byte = this.#bytes[start + count];
      if (byte === undefined) throw ODD;
      value |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) {
        this.#at = start + count + 1;
        return BigInt.asUintN(64, value);
      }
    }
    throw ODD;
  }

  #skip(wireType: number): void {
    if (wireType === WireType.Varint) this.#number();
    else if (wireType === WireType.Bit64) this.#at += 8;
    else if (wireType === WireType.Bit32) this.#at += 4;
    else if (wireType === WireType.LengthDelimited) {
      // Its length stands before it: the order of evaluation matters.
      const length = this.#length();
      this.#at += length;
    } else throw ODD;
  }
}

function asInt32(value: number | bigint): number {
  return typeof value === 'number' && value <= 0x7fffffff ? value : Number(BigInt.asIntN(32, BigInt(value)));
}
