/**
 * The first field blocks that clients send, remembered for all connections. Clients of one kind, of which there may be
 * thousands with a connection and a single request each, begin with the same octets, and every decoder begins with the same
 * empty table: so what comes of them is the same, down to the list, and to what others have worked out from it.
 *
 * Only the very first block of a connection is looked for here. It is a request, whoever sends it: as trailers it would be
 * malformed, and that verdict is kept with the block ({@link HeaderBlock.kind}).
 */
import { hashOf, isEqual, maySave } from './block-memo.ts';
import type { HeaderBlock } from './header-block.ts';

/** So many are remembered. Each has up to half a KiB of octets and 8 KiB of fields, and what is worked out from these. */
const SLOTS = 64;

/** What came of a first block. */
export interface FirstBlock {
  readonly block: HeaderBlock;
  /** The fields that it put into the table, in this order: name, value, ... */
  readonly inserted: readonly string[];
}

interface Entry extends FirstBlock {
  readonly octets: Uint8Array;
  /** What lists may be long, where it was decoded. */
  readonly limit: number;
}

/** Those of one process. Equal octets have equal tokens in them: nobody gets what is another one's. */
export class FirstBlocks {
  private readonly slots: (Entry | undefined)[] = [];
  /** The hash of the block that last came for a slot and was not there. */
  private readonly missed: number[] = [];

  /** What came of these octets before, in a decoder with this limit. */
  find(source: Buffer, start: number, end: number, limit: number): FirstBlock | undefined {
    const entry = this.slots[hashOf(source, start, end) & (SLOTS - 1)];
    if (entry === undefined || entry.limit !== limit) return undefined;
    return isEqual(entry.octets, source, start, end) ? entry : undefined;
  }

  /** Remembers a block when it has come twice without another one for its place: many have a token that comes once. */
  store(source: Buffer, start: number, end: number, limit: number, first: FirstBlock): void {
    if (!maySave(end - start, first.block)) return;
    const hash = hashOf(source, start, end);
    const slot = hash & (SLOTS - 1);
    if (this.missed[slot] !== hash) {
      while (this.missed.length < SLOTS) this.missed.push(0);
      this.missed[slot] = hash;
      return;
    }
    while (this.slots.length < SLOTS) this.slots.push(undefined);
    const octets = Uint8Array.prototype.slice.call(source, start, end);
    this.slots[slot] = { octets, limit, block: first.block, inserted: first.inserted };
  }
}
