/**
 * The ranges that clients named lately, so that equal ones are one object. Very many requests for few ranges may wait
 * at a time; what they have in common should be in memory once.
 */
import { KeyRange } from './key-range.ts';

/** Ranges that are remembered; when there are more, remembering starts anew. */
const MAX_RANGES = 10_000;

export class KeyRanges {
  readonly #keys = new Map<string, KeyRange>();
  readonly #others = new Map<string, KeyRange>();

  /** The range of a request; see {@link KeyRange}. */
  of(key: string, rangeEnd: string): KeyRange {
    // Keys have no character above a byte's, so the two cannot be taken for another pair.
    return rangeEnd === ''
      ? find(this.#keys, key, key, rangeEnd)
      : find(this.#others, `${key}\u0100${rangeEnd}`, key, rangeEnd);
  }
}

function find(known: Map<string, KeyRange>, name: string, key: string, rangeEnd: string): KeyRange {
  let range = known.get(name);
  if (range === undefined) {
    if (known.size === MAX_RANGES) known.clear();
    range = new KeyRange(key, rangeEnd);
    known.set(name, range);
  }
  return range;
}
