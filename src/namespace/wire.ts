/** Unsigned numbers and delimited fields as protobuf writes them. */

/** How many octets one takes. */
export function octetsOf(value: number): number {
  let octets = 1;
  for (let left = value; left >= 0x80; left = Math.floor(left / 0x80)) octets++;
  return octets;
}

/** Writes one. @returns where the next byte goes */
export function writeNumber(target: Uint8Array, start: number, value: number): number {
  let at = start;
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) target[at++] = (left & 0x7f) | 0x80;
  target[at++] = left;
  return at;
}

/** A delimited field whose tag has one octet. */
export function fieldOf(tag: number, contents: Buffer): Buffer {
  const field = Buffer.allocUnsafe(1 + octetsOf(contents.length) + contents.length);
  field[0] = tag;
  field.set(contents, writeNumber(field, 1, contents.length));
  return field;
}
