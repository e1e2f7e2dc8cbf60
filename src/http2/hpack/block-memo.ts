/**
 * Remembers decoded field blocks by their bytes. Clients repeat the same block for every call, so most
 * blocks need no decoding at all.
 *
 * A block is remembered when it comes for the second time: many connections never send one twice. And only when decoding
 * it left the dynamic table alone. If it refers to the dynamic
 * table it is valid for one generation of that table; any insertion, eviction or resize makes it stale.
 * A block without such a reference stays valid for ever.
 */
import type { HeaderBlock } from './header-block.ts';

const SLOTS = 32;
/** Longer blocks, and blocks of more fields, are not remembered: this bounds the memory of a connection. */
const MAX_OCTETS = 512;
const MAX_FIELDS = 64;
/**
 * Nor are those that expand to more, as with many references to one long field: what is made of a list is kept with it.
 * Size of the list as in RFC 7541 section 4.1, in octets.
 */
const MAX_LIST = 8192;
/** The generation of blocks that do not refer to the dynamic table. */
const ANY_GENERATION = -1;

class Entry {
  readonly octets: Uint8Array;
  readonly generation: number;
  readonly block: HeaderBlock;

  constructor(octets: Uint8Array, generation: number, block: HeaderBlock) {
    this.octets = octets;
    this.generation = generation;
    this.block = block;
  }
}

/** A small direct-mapped cache from the bytes of a field block to its {@link HeaderBlock}. */
export class BlockMemo {
  private readonly slots: (Entry | undefined)[] = [];
  /** A bit for each slot that a block has come for. */
  private seen = 0;

  /** The block these octets decoded to before, if it is still valid at this generation of the table. */
  find(source: Buffer, start: number, end: number, generation: number): HeaderBlock | undefined {
    if (end - start > MAX_OCTETS) return undefined;
    const entry = this.slots[hashOf(source, start, end) & (SLOTS - 1)];
    if (entry === undefined) return undefined;
    if (entry.generation !== generation && entry.generation !== ANY_GENERATION) return undefined;
    return isEqual(entry.octets, source, start, end) ? entry.block : undefined;
  }

  /** Remembers a block that did not change the dynamic table; `indexed` says that it refers to it. */
  store(source: Buffer, start: number, end: number, block: HeaderBlock, indexed: boolean, gen: number): void {
    if (!maySave(end - start, block)) return;
    const slot = hashOf(source, start, end) & (SLOTS - 1);
    const bit = 1 << slot;
    if ((this.seen & bit) === 0) {
      this.seen |= bit;
      return;
    }
    while (this.slots.length < SLOTS) this.slots.push(undefined);
    const octets = Uint8Array.prototype.slice.call(source, start, end);
    this.slots[slot] = new Entry(octets, indexed ? gen : ANY_GENERATION, block);
  }
}

/** Whether a block of so many octets may be remembered at all. */
export function maySave(octets: number, { list, size, tooLarge }: HeaderBlock): boolean {
  return octets <= MAX_OCTETS && list.length <= 2 * MAX_FIELDS && !tooLarge && size <= MAX_LIST;
}

/** Whether remembered octets are those of a source. */
export function isEqual(octets: Uint8Array, source: Buffer, start: number, end: number): boolean {
  if (octets.length !== end - start) return false;
  for (let i = 0; i < octets.length; i++) if (octets[i] !== source[start + i]) return false;
  return true;
}

/** A number that octets rarely share, the lower bits of which may be used by themselves. */
export function hashOf(source: Buffer, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (source[i] as number)) | 0;
  return hash ^ (hash >>> 15);
}
