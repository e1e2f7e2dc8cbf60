/**
 * A table of what was of use lately, bounded in entries and in bytes: what clients name in it may be very long. It has
 * two halves. When the younger one is full, the older one goes, and what is found there until then moves over; so what is
 * used stays, and nothing has to be moved or counted for a hit.
 */

/** How much a table may hold. */
export interface TableBounds {
  readonly entries: number;
  /** Keys and values together, as far as the owner counts them. */
  readonly bytes: number;
}

/** An entry of more than this part of the bytes is not kept: it would push out too many others. */
const ENTRY_SHARE = 1 / 16;

interface Entry<V> {
  readonly value: V;
  readonly bytes: number;
}

export class BoundedTable<V> {
  /** How often something had to go to make room, or found none. */
  forgotten = 0;
  readonly #bounds: TableBounds;
  #young = new Map<string, Entry<V>>();
  #youngBytes = 0;
  #old = new Map<string, Entry<V>>();
  #oldBytes = 0;

  constructor(bounds: TableBounds) {
    this.#bounds = bounds;
  }

  /** How many entries there are. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young.value;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#oldBytes -= old.bytes;
    this.#add(key, old);
    return old.value;
  }

  /** Adds an entry whose key has none, if it is not too large. @param bytes what it stands for in memory, its key included */
  add(key: string, value: V, bytes: number): void {
    if (bytes > this.#bounds.bytes * ENTRY_SHARE) this.forgotten++;
    else this.#add(key, { value, bytes });
  }

  delete(key: string): void {
    this.#youngBytes -= this.#young.get(key)?.bytes ?? 0;
    this.#oldBytes -= this.#old.get(key)?.bytes ?? 0;
    this.#young.delete(key);
    this.#old.delete(key);
  }

  #add(key: string, entry: Entry<V>): void {
    const { entries, bytes } = this.#bounds;
    if (this.#young.size + 1 > entries / 2 || this.#youngBytes + entry.bytes > bytes / 2) {
      this.forgotten += this.#old.size;
      this.#turn();
    }
    this.#young.set(key, entry);
    this.#youngBytes += entry.bytes;
  }

  /** The younger half becomes the older one, which goes. */
  #turn(): void {
    this.#old = this.#young;
    this.#oldBytes = this.#youngBytes;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}
