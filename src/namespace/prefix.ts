/**
 * The prefix of a namespace: the keys that clients name stand behind it. The key that is the prefix itself belongs to no
 * client, since there is no empty key.
 */

const LAST_BYTE = 0xff;

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
    this.end = endOf(this.bytes);
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

/** The least key behind all that begin with some bytes. */
function endOf(bytes: Uint8Array): Buffer {
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === LAST_BYTE) length--;
  const end = Buffer.from(bytes.subarray(0, length));
  if (length === 0) return Buffer.of(0);
  end[length - 1] = (end[length - 1] as number) + 1;
  return end;
}
