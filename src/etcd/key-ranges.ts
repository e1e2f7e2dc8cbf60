/**
 * The ranges that clients named lately, so that equal ones are one object. Very many requests for few ranges may wait
 * at a time; what they have in common should be in memory once. Nobody relies on it: equal ranges may be several objects.
 */
import { BoundedTable, type TableBounds } from '../rpc/bounded-table.ts';
import { KeyRange, NO_END } from './key-range.ts';

/** Ranges that are remembered. */
const RANGES: TableBounds = { entries: 10_000, bytes: 8 << 20 };

/** Longer ranges are not: few requests wait for one of them, and to find it would take as long as to read it. Bytes. */
const MAX_RANGE_BYTES = 1024;

/** What one costs beside its keys: the object, two strings, its place in the table. Bytes. */
const RANGE_OBJECT_BYTES = 250;

export class KeyRanges {
  readonly #known = new BoundedTable<KeyRange>(RANGES);

  /** Memory of those that are remembered, in bytes. */
  get bytes(): number {
    return this.#known.bytes;
  }

  /** Those that had to go for others. */
  get forgotten(): number {
    return this.#known.forgotten;
  }

  /** The range of a request; see {@link KeyRange}. */
  of(key: string, rangeEnd: string): KeyRange {
    if (key.length + rangeEnd.length > MAX_RANGE_BYTES) return new KeyRange(key, rangeEnd);
    // No key has the character between the two, so they cannot be taken for another pair.
    const name = rangeEnd === '' ? key : `${key}${NO_END}${rangeEnd}`;
    let range = this.#known.get(name);
    if (range === undefined) {
      range = new KeyRange(key, rangeEnd);
      // A character may take two bytes where one of them does, and the name is a string of its own.
      this.#known.add(name, range, RANGE_OBJECT_BYTES + 2 * range.id.length + 2 * name.length);
    }
    return range;
  }
}
