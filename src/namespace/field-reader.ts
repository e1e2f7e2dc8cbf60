/**
 * Reads the heads of fields as strictly as the strictest etcd does. What it takes for malformed, every etcd refuses once
 * it ends where {@link FieldReader.pos} stands then: no bytes of a request may be keys for etcd and none for us. So numbers
 * that are longer than any that is meant, and groups, which etcd's messages do not have, are malformed as well.
 */

/** Octets of tags and lengths that are meant, and of any number at all. */
const HEAD_OCTETS = 5;
const NUMBER_OCTETS = 10;

const WireType = { number: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const;
/** Tags of a field number that is one begin here; wire types are below. */
const FIRST_FIELD = 8;
const CONTINUED = 0x80;

export class FieldReader {
  source: Uint8Array = new Uint8Array(0);
  pos = 0;
  /** Of the head that was read last: where it began, its tag, and where the length of a delimited field stood, or a number. */
  start = 0;
  tag = 0;
  lengthAt = 0;
  /** Where the contents of a delimited field end; negative: it is of another kind, and has been passed by. */
  end = 0;

  /** Reads a head of a message that ends at `limit`. @returns `false` when it is malformed */
  next(limit: number): boolean {
    this.start = this.pos;
    const tag = this.#number(limit);
    this.tag = tag;
    if (tag < FIRST_FIELD) return false;
    const wireType = tag % FIRST_FIELD;
    this.end = -1;
    this.lengthAt = this.pos;
    if (wireType === WireType.delimited) {
      const length = this.#number(limit);
      this.end = this.pos + length;
      return length >= 0 && this.end <= limit;
    }
    if (wireType === WireType.number) return this.#passNumber(limit);
    if (wireType === WireType.fixed64) return this.#pass(8, limit);
    return wireType === WireType.fixed32 && this.#pass(4, limit);
  }

  /** A tag or a length; negative when it is malformed. */
  #number(limit: number): number {
    const { source } = this;
    const from = this.pos;
    let value = 0;
    let scale = 1;
    for (let octets = 0; octets < HEAD_OCTETS; octets++) {
      if (this.pos >= limit) return -1;
      const byte = source[this.pos++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < CONTINUED) return value;
      scale *= CONTINUED;
    }
    // One without an end is kept as that; of another one what is left has no end.
    if (!this.#passNumber(limit) && this.pos - from > NUMBER_OCTETS) return -1;
    this.pos = from + HEAD_OCTETS;
    return -1;
  }

  #passNumber(limit: number): boolean {
    const { source } = this;
    const most = Math.min(limit, this.pos + NUMBER_OCTETS);
    while (this.pos < most) if ((source[this.pos++] as number) < CONTINUED) return true;
    if (this.pos < limit) this.pos++;
    return false;
  }

  #pass(bytes: number, limit: number): boolean {
    if (this.pos + bytes > limit) return false;
    this.pos += bytes;
    return true;
  }
}
