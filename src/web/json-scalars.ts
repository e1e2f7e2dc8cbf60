/** Numbers and bytes as etcd's gateway reads them from JSON. */

/** JSON that is no message of its type. */
export class BadJson extends Error {}

/** A number that is no exact integer of JavaScript, by its text. */
export class InexactNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** An integer; large ones are bigints. */
export type Integer = number | bigint;

/** The least and the most of a type of integers. */
export interface IntegerLimits {
  readonly least: Integer;
  readonly most: Integer;
}

/** By the names of the types. */
export const LIMITS = {
  int32: { least: -(2 ** 31), most: 2 ** 31 - 1 },
  uint32: { least: 0, most: 2 ** 32 - 1 },
  int64: { least: -(2n ** 63n), most: 2n ** 63n - 1n },
  uint64: { least: 0, most: 2n ** 64n - 1n },
} as const satisfies Record<string, IntegerLimits>;

/** An integer as JSON writes numbers: sign, digits, fraction, exponent. */
const NUMBER = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d{1,9}))?$/;

/**
 * The number that a text begins with. As in etcd, which reads on only where a number or a word may go on, anything may follow, and an
 * exponent without digits too, which is none.
 */
const LEADING_NUMBER = /^-?\d+(?:\.\d+)?(?:[eE](?:[+-]?\d+|(?=[^-+])))?(?![-+._A-Za-z0-9])/;

/** White space as Go knows it; none may be at the end of such a text. */
const ENDS_WHITE = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;

/** No type has more digits. */
const MOST_DIGITS = 20;

/** An integer that is given as a number or as the text of one; undefined: it is none, or not within the limits. */
export function asInteger(value: unknown, { least, most }: IntegerLimits): Integer | undefined {
  let integer: Integer | undefined;
  if (typeof value === 'number') integer = value;
  else if (typeof value === 'string') integer = integerOf(leadingNumber(value));
  else if (value instanceof InexactNumber) integer = integerOf(value.text);
  if (integer === undefined || integer < least || integer > most) return undefined;
  return integer;
}

function leadingNumber(text: string): string {
  return ENDS_WHITE.test(text) ? '' : (LEADING_NUMBER.exec(text)?.[0].replace(/e$/i, '') ?? '');
}

/** `1.5e1` is 15, exactly. */
function integerOf(text: string): Integer | undefined {
  const [, sign, whole = '', fraction = '', exponent = '0'] = NUMBER.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  if (digits === '') return 0;
  const point = digits.length + Number(exponent) - fraction.length;
  if (point > MOST_DIGITS || /[^0]/.test(digits.slice(Math.max(0, point)))) return undefined;
  const integer = BigInt(sign + digits.slice(0, Math.max(0, point)).padEnd(point, '0') || 0);
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

/** Both alphabets; padded, or not at all. Line breaks are passed over, as in Go. */
const BASE64 = /^(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)(={0,2})$/;

/** The bytes of base64; undefined: it is none. */
export function bytesOf(text: string): Uint8Array | undefined {
  const plain = /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]/g, '') : text;
  const padding = BASE64.exec(plain)?.[1]?.length;
  if (padding === undefined) return undefined;
  // Go decides by the length of all of it whether it has to be padded.
  const padded = text.length % 4 === 0;
  if (padded ? plain.length % 4 !== 0 : padding > 0 || plain.length % 4 === 1) return undefined;
  return Buffer.from(plain, 'base64');
}
