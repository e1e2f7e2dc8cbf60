/**
 * The entries by identity and request, within a bound of bytes. When that is reached, the ones that were not used for
 * long go: each waits in line, and one that was used meanwhile goes to the end of it.
 */
import type { CacheEntry } from './cache-entry.ts';

/** Room is made for several entries at once, so that it is seldom looked for. */
const GOAL = 0.95;

export class EntryStore {
  bytes = 0;
  readonly #entries = new Map<string, CacheEntry>();
  readonly #limit: number;
  readonly #onEvicted: (entry: CacheEntry) => void;

  /**
   * @param limit bytes of all entries together
   * @param onEvicted is called with what had to go, one after the other. It may give back memory, and add none
   */
  constructor(limit: number, onEvicted: (entry: CacheEntry) => void) {
    this.#limit = limit;
    this.#onEvicted = onEvicted;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): CacheEntry | undefined {
    return this.#entries.get(key);
  }

  /** The first of some keys that has an entry. */
  first(keys: readonly string[]): CacheEntry | undefined {
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** Adds an entry whose key has none. */
  add(entry: CacheEntry): void {
    this.#entries.set(entry.key, entry);
    this.bytes += entry.bytes;
    if (this.bytes > this.#limit) this.#makeRoom();
  }

  remove(entry: CacheEntry): void {
    if (this.#entries.get(entry.key) !== entry) return;
    this.#entries.delete(entry.key);
    this.bytes -= entry.bytes;
  }

  /** Other memory is needed, or given back: also with what has to go, while room is made, which must not begin again then. */
  hold(bytes: number): void {
    this.bytes += bytes;
    if (bytes > 0 && this.bytes > this.#limit) this.#makeRoom();
  }

  #makeRoom(): void {
    // An entry that goes to the end of the line comes again at the end of this loop, and then it has not been used.
    for (const entry of this.#entries.values()) {
      if (this.bytes <= this.#limit * GOAL) return;
      if (entry.usedAt > entry.queuedAt) {
        entry.queuedAt = entry.usedAt;
        this.#entries.delete(entry.key);
        this.#entries.set(entry.key, entry);
      } else {
        this.remove(entry);
        this.#onEvicted(entry);
      }
    }
  }
}
