/**
 * A stateless HPACK encoder (RFC 7541). It never inserts into the dynamic table, so a block may be made
 * once and sent on every connection, and blocks of different streams need no common order.
 */
import type { HeaderList } from './header-block.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { staticFieldIndex, staticNameIndex } from './static-table.ts';

const INDEXED = 0x80;
const WITHOUT_INDEXING = 0x00;
const NEVER_INDEXED = 0x10;
const HUFFMAN = 0x80;
/** A field of two empty strings takes 3 octets; an integer at most 6 more than its prefix. */
const FIELD_ROOM = 24;

let scratch = Buffer.allocUnsafeSlow(4096);
let end = 0;

/**
 * Encodes a header list as one field block.
 * @param list lower-case names; values of octets (latin1, higher characters are cut to 8 bits)
 * @param neverIndexed names whose values must never enter a compression context on the way
 * (RFC 7541 section 7.1.3), such as authorization
 */
export function encodeHeaders(list: HeaderList, neverIndexed?: ReadonlySet<string>): Uint8Array {
  end = 0;
  for (let i = 0; i + 1 < list.length; i += 2) {
    const name = list[i] as string;
    const value = list[i + 1] as string;
    reserve(FIELD_ROOM + name.length + value.length);
    field(name, value, neverIndexed?.has(name) === true);
  }
  return Buffer.from(scratch.subarray(0, end));
}

function field(name: string, value: string, sensitive: boolean): void {
  const index = sensitive ? 0 : staticFieldIndex(name, value);
  if (index > 0) {
    integer(index, 7, INDEXED);
    return;
  }
  const nameIndex = staticNameIndex(name);
  integer(nameIndex, 4, sensitive ? NEVER_INDEXED : WITHOUT_INDEXING);
  if (nameIndex === 0) text(name);
  text(value);
}

/** RFC 7541 section 5.1: an integer with a prefix of `bits` bits below the pattern `high`. */
function integer(value: number, bits: number, high: number): void {
  const most = (1 << bits) - 1;
  if (value < most) {
    scratch[end++] = high | value;
    return;
  }
  scratch[end++] = high | most;
  let rest = value - most;
  for (; rest >= 0x80; rest >>>= 7) scratch[end++] = (rest & 0x7f) | 0x80;
  scratch[end++] = rest;
}

/** RFC 7541 section 5.2: a string literal, Huffman-coded when that is shorter. */
function text(value: string): void {
  const packed = huffmanLength(value);
  if (packed < value.length) {
    integer(packed, 7, HUFFMAN);
    end = huffmanEncode(value, scratch, end);
  } else {
    integer(value.length, 7, 0);
    end += scratch.write(value, end, 'latin1');
  }
}

function reserve(octets: number): void {
  if (scratch.length - end >= octets) return;
  const larger = Buffer.allocUnsafeSlow(2 * (end + octets));
  scratch.copy(larger, 0, 0, end);
  scratch = larger;
}
