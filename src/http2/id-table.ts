/**
 * Values by the identifiers that they have. A Map of streams that come and go costs more than it seems to: V8 links each table
 * that a Map has cleaned up to the one that takes its place, and once one of these is old, all later ones survive with what
 * was in them until the whole heap is collected. Of forwarded calls half of all bytes did.
 *
 * Open addressing with linear probing; what follows a value that goes moves up. Identifiers are a client's to choose, so where
 * they stand depends on a number of this process that nobody knows.
 */

const SEED = (Math.random() * 2 ** 32) | 0;

/** Slots of a table with anything in it, at least; a power of two, as all sizes are. */
const FEW = 8;

/** At most this share of the slots is taken; where fewer than an eighth of it are, the table is too large. */
const FULL = 1 / 2;
const SPARSE = FULL / 8;

/** Values `V`, of which no two have the same identifier. */
export class IdTable<V extends { readonly id: number }> {
  /** How many there are. */
  size = 0;
  private slots: (V | undefined)[] = [undefined];

  get(id: number): V | undefined {
    return this.slots[this.find(id)];
  }

  /** Adds a value, whose identifier is not there yet. */
  add(value: V): void {
    this.size++;
    if (this.size > FULL * this.slots.length) this.resize(Math.max(FEW, 2 * this.slots.length));
    this.slots[this.find(value.id)] = value;
  }

  /** Removes the value of an identifier, if there is one. */
  delete(id: number): void {
    let hole = this.find(id);
    const { slots } = this;
    if (slots[hole] === undefined) return;
    const mask = slots.length - 1;
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const value = slots[at];
      if (value === undefined) break;
      // It may stand anywhere between where it is looked for first and here.
      if (((at - startOf(value.id)) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = value;
      hole = at;
    }
    slots[hole] = undefined;
    this.size--;
    if (slots.length > FEW && this.size < SPARSE * slots.length) this.resize(slots.length / 2);
  }

  /** All, in no order, which costs far less. None may be added or removed meanwhile. */
  *each(): Generator<V> {
    for (const value of this.slots) if (value !== undefined) yield value;
  }

  /** All of now, by their identifiers. One that is removed meanwhile is passed over. */
  *values(): Generator<V> {
    const all = this.slots.filter((value) => value !== undefined);
    for (const value of all.sort((one, other) => one.id - other.id))
      if (this.get(value.id) === value) yield value;
  }

  /** Where the value of an identifier is, or would be. */
  private find(id: number): number {
    const { slots } = this;
    const mask = slots.length - 1;
    let at = startOf(id) & mask;
    for (let value = slots[at]; value !== undefined && value.id !== id; value = slots[at])
      at = (at + 1) & mask;
    return at;
  }

  private resize(length: number): void {
    const before = this.slots;
    this.slots = new Array<V | undefined>(length).fill(undefined);
    for (const value of before) if (value !== undefined) this.slots[this.find(value.id)] = value;
  }
}

/** A number whose lower bits tell where an identifier is looked for first (the end of MurmurHash3 by A. Appleby). */
function startOf(id: number): number {
  let hash = Math.imul(id ^ SEED ^ ((id ^ SEED) >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
