/**
 * The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B). The code is canonical, so the lengths
 * of its 257 codes say everything. Decoding walks a table four bits at a time: no code is shorter than
 * five bits, so each step gives at most one octet.
 */
import { ErrorCode, Http2Error } from '../errors.ts';

const EOS = 256;

// Code length in bits of each octet, then of EOS: appendix B, one row for 32 symbols.
// biome-ignore format: a table of the RFC
const lengths = Uint8Array.of(
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
);

const codes = canonicalCodes();

function canonicalCodes(): Uint32Array {
  const result = new Uint32Array(EOS + 1);
  const order = Array.from(lengths.keys()).sort(
    (a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b,
  );
  let code = 0;
  let length = 0;
  for (const symbol of order) {
    code <<= (lengths[symbol] as number) - length;
    length = lengths[symbol] as number;
    result[symbol] = code++;
  }
  return result;
}

// A step of the decoder: next state in the low 9 bits, then the octet, then three flags.
const STATE = 0x1ff;
const SYMBOL_SHIFT = 9;
const EMIT = 1 << 17;
const FAIL = 1 << 18;
/** The bits since the last symbol are a proper padding: at most seven, all ones. */
const ACCEPT = 1 << 19;

/** The codes as a binary tree. */
interface CodeTree {
  /** `children[2 * node + bit]` is a node, or `~symbol` at a leaf. */
  readonly children: readonly number[];
  /** Of each node. */
  readonly depth: readonly number[];
  /** Of each node whether only ones lead to it. */
  readonly allOnes: readonly boolean[];
}

function codeTree(): CodeTree {
  const children: number[] = [0, 0];
  const depth = [0];
  const allOnes = [true];
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0;
    for (let bit = (lengths[symbol] as number) - 1; bit >= 0; bit--) {
      const side = ((codes[symbol] as number) >>> bit) & 1;
      const slot = 2 * node + side;
      if (bit === 0) {
        children[slot] = ~symbol;
      } else if (children[slot] === 0) {
        children[slot] = depth.length;
        depth.push((depth[node] as number) + 1);
        allOnes.push((allOnes[node] as boolean) && side === 1);
        children.push(0, 0);
      }
      node = children[slot] as number;
    }
  }
  return { children, depth, allOnes };
}

/**
 * A tree of 257 leaves has 256 inner nodes, which are the states. A step is worked out when it is first needed, and 0 until
 * then, which no step is. The start of the program would wait for all of them, and have 5 MiB of the compiler in memory that
 * they make hot.
 */
const steps = new Int32Array(EOS * 16);
let tree: CodeTree | undefined;

/** The step from a state by four bits, kept for the next time. */
function firstStep(index: number): number {
  tree ??= codeTree();
  const { children, depth, allOnes } = tree;
  let node = index >>> 4;
  let step = 0;
  for (let bit = 3; bit >= 0; bit--) {
    node = children[2 * node + ((index >>> bit) & 1)] as number;
    if (node >= 0) continue;
    if (~node === EOS) {
      step = FAIL;
      break;
    }
    step = EMIT | (~node << SYMBOL_SHIFT);
    node = 0;
  }
  if (step !== FAIL) step |= node | ((depth[node] as number) <= 7 && allOnes[node] ? ACCEPT : 0);
  steps[index] = step;
  return step;
}

let scratch = Buffer.allocUnsafeSlow(4096);

/**
 * Decodes the Huffman-coded octets `source[start, end)` into a latin1 string.
 * @throws Http2Error COMPRESSION_ERROR for EOS in the text or wrong padding (RFC 7541 section 5.2).
 */
export function huffmanDecode(source: Buffer, start: number, end: number): string {
  const most = Math.ceil(((end - start) * 8) / 5);
  if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(2 * most);
  const target = scratch;
  let step = ACCEPT;
  let length = 0;
  for (let at = start; at < end; at++) {
    const octet = source[at] as number;
    const high = ((step & STATE) << 4) | (octet >>> 4);
    step = steps[high] || firstStep(high);
    if ((step & EMIT) !== 0) target[length++] = step >>> SYMBOL_SHIFT;
    if ((step & FAIL) !== 0) break;
    const low = ((step & STATE) << 4) | (octet & 15);
    step = steps[low] || firstStep(low);
    if ((step & EMIT) !== 0) target[length++] = step >>> SYMBOL_SHIFT;
    if ((step & FAIL) !== 0) break;
  }
  if ((step & ACCEPT) === 0) throw new Http2Error(ErrorCode.COMPRESSION_ERROR, 'bad Huffman code');
  return target.toString('latin1', 0, length);
}

/** Length in octets of a latin1 string once Huffman-coded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += lengths[text.charCodeAt(i) & 0xff] as number;
  return (bits + 7) >>> 3;
}

/** Writes the Huffman code of a latin1 string at `at` (room for {@link huffmanLength} octets); returns the end. */
export function huffmanEncode(text: string, target: Uint8Array, at: number): number {
  let pending = 0; // bits not written yet, fewer than 8, in the low end
  let count = 0;
  let end = at;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    const code = codes[symbol] as number;
    let left = lengths[symbol] as number;
    while (count + left >= 8) {
      const take = 8 - count;
      left -= take;
      target[end++] = (pending << take) | ((code >>> left) & ((1 << take) - 1));
      pending = 0;
      count = 0;
    }
    pending = (pending << left) | (code & ((1 << left) - 1));
    count += left;
  }
  if (count > 0) target[end++] = (pending << (8 - count)) | (0xff >>> count);
  return end;
}
