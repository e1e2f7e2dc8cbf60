/**
 * The prefix of a namespace: the keys that clients name stand behind it. The key that is the prefix itself belongs to no
 * client, since there is no empty key.
 */
import { prefixRange } from '../etcd/key-range.ts';

export class Prefix {
  readonly bytes: Buffer;
  /** `range_end` of what has no end: the first key behind the namespace, or a zero byte where none is. */
  readonly end: Buffer;
  /** The least key in it. */
  readonly least: Buffer;

  /** @param bytes at least one */
  constructor(bytes: Uint8Array) {
    if (bytes.length === 0) throw new Error('a namespace needs a prefix');
    this.bytes = Buffer.from(bytes);
    this.end = Buffer.from(prefixRange(this.bytes.toString('latin1')).rangeEnd, 'latin1');
    this.least = Buffer.concat([this.bytes, Buffer.of(0)]);
  }

  /** Whether what lies between two places begins with it. */
  begins(source: Uint8Array, start: number, end: number): boolean {
    const { bytes } = this;
    const { length } = bytes;
    if (end - start < length) return false;
    for (let i = 0; i < length; i++) if (source[start + i] !== bytes[i]) return false;
    return true;
  }
}
