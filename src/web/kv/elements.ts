/** Replies that are long for one list: what else is in them, and the elements, which are read when they are wanted. */

import { type DescField, type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { FIELDS_PER_TURN } from '../../rpc/round-robin.ts';

/** A reply that was taken apart. */
export interface Apart<Desc extends DescMessage> {
  /** The message without the elements. */
  readonly rest: MessageShape<Desc>;
  /** Each encoded, in their order. */
  readonly elements: Elements;
}

/** The elements of a list. */
export class Elements implements Iterable<Uint8Array> {
  readonly #message: Uint8Array;
  /** Where each begins and ends, in turns. */
  readonly #places: readonly number[];

  constructor(message: Uint8Array, places: readonly number[]) {
    this.#message = message;
    this.#places = places;
  }

  get length(): number {
    return this.#places.length / 2;
  }

  /** One of them, from 0 on, or from the end; undefined: there is none. */
  at(index: number): Uint8Array | undefined {
    const i = index < 0 ? index + this.length : index;
    if (i < 0 || i >= this.length) return undefined;
    return this.#message.subarray(this.#places[2 * i], this.#places[2 * i + 1]);
  }

  *[Symbol.iterator](): Generator<Uint8Array> {
    for (let i = 0; i < this.length; i++) yield this.at(i) as Uint8Array;
  }
}

/** Takes a reply apart. @param list the field whose elements are messages @throws Error (rejects) when it is no such message */
export async function takeApart<Desc extends DescMessage>(
  schema: Desc,
  list: DescField,
  message: Uint8Array,
): Promise<Apart<Desc>> {
  const places: number[] = [];
  const rest: Uint8Array[] = [];
  const reader = new BinaryReader(message);
  for (let count = 1; reader.pos < reader.len; count++) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    if (number === list.number && wireType === WireType.LengthDelimited) {
      const length = reader.uint32();
      places.push(reader.pos, reader.pos + length);
      reader.pos += length;
    } else {
      reader.skip(wireType, number);
      rest.push(message.subarray(start, reader.pos));
    }
    if (count % FIELDS_PER_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (reader.pos > reader.len) throw new Error('the message is cut off');
  return { rest: fromBinary(schema, Buffer.concat(rest)), elements: new Elements(message, places) };
}
