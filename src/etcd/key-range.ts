/**
 * Ranges of keys as etcd's requests write them. Keys are latin1 strings, one character a byte: they compare as
 * etcd compares bytes, and they are ready to be looked up in maps.
 */

import { hash } from 'node:crypto';

/** Above every key: no byte is larger than 255. */
export const NO_END = '\u0100';

/** The first key behind a range, latin1. @param rangeEnd as requests write it; empty: just the key; a zero byte: no end */
export function endOf(start: string, rangeEnd: string): string {
  if (rangeEnd === '') return `${start}\0`;
  return rangeEnd === '\0' ? NO_END : rangeEnd;
}

/** Longer ranges go by a digest: as keys of tables they would be in memory once more, with two bytes for each of theirs. */
const MAX_ID_LENGTH = 1024;

/** A set of neighbouring keys, `start` included, `end` excluded. */
export class KeyRange {
  readonly start: string;
  /** Whether the range is one key. */
  readonly exact: boolean;
  /** Equal for equal ranges only, and never long. */
  readonly id: string;
  /** `range_end` as requests write it. */
  readonly rangeEnd: string;

  /**
   * @param key an empty one is the least key, as in a watch
   * @param rangeEnd empty: just the key; a zero byte: no end
   */
  constructor(key: string, rangeEnd: string) {
    this.start = key === '' ? '\0' : key;
    this.rangeEnd = rangeEnd;
    this.exact = rangeEnd === '' || rangeEnd === `${this.start}\0`;
    if (this.bytes > MAX_ID_LENGTH) this.id = digestOf(this.start, this.exact ? '' : rangeEnd);
    // No key has the character between the two.
    else this.id = this.exact ? this.start : `${this.start}${NO_END}${this.end}`;
  }

  /** What its keys take, in bytes; the same for equal ranges. */
  get bytes(): number {
    return this.exact ? this.start.length : this.start.length + this.rangeEnd.length;
  }

  /** The first key behind the range. */
  get end(): string {
    return endOf(this.start, this.exact ? '' : this.rangeEnd);
  }

  /** Whether no key can be in it; etcd refuses to watch such a range. */
  get empty(): boolean {
    return !this.exact && this.start >= this.end;
  }

  /** Whether the key is in the range. */
  contains(key: string): boolean {
    return this.exact ? key === this.start : key >= this.start && key < this.end;
  }

  /** Whether every key of the other range is in this one. */
  covers(other: KeyRange): boolean {
    if (other.exact) return this.contains(other.start);
    return this.start <= other.start && this.end >= other.end;
  }
}

/** No byte is larger; a prefix goes on behind it. */
const LAST_BYTE = 0xff;

/** All keys that begin with a prefix, latin1; the empty one: all keys. */
export function prefixRange(prefix: string): KeyRange {
  let length = prefix.length;
  while (length > 0 && prefix.charCodeAt(length - 1) === LAST_BYTE) length--;
  if (length === 0) return new KeyRange(prefix, '\0');
  const last = prefix.charCodeAt(length - 1);
  return new KeyRange(prefix, prefix.slice(0, length - 1) + String.fromCharCode(last + 1));
}

/** No short id begins like this, since no key has the character; and none is found for two ranges (SHA-256). */
function digestOf(start: string, rangeEnd: string): string {
  return NO_END + hash('sha256', Buffer.from(`${start.length} ${start}${rangeEnd}`, 'latin1'), 'base64');
}
