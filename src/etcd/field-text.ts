/** Fields written as latin1 strings, one character an octet, for replies that are put together of strings. */

/** The octets of an unsigned varint. */
function varint(value: number): number[] {
  const octets: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    octets.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  octets.push(rest);
  return octets;
}

/** A field that is a number, and what stands before `value` octets of one that is delimited. The tag has one octet. */
export function varintText(tag: number, value: number): string {
  return String.fromCharCode(tag, ...varint(value));
}

/** A delimited field. */
export function textField(tag: number, body: string): string {
  return varintText(tag, body.length) + body;
}
