/**
 * A Map for entries that come and go by the thousand. V8 links each table that a Map has cleaned up to the one that takes its
 * place, and once one of these is old, all later ones survive with what was in them until the whole heap is collected. So what
 * is there moves to a new Map now and then, which nothing old leads to.
 */

/** Entries that go before a new Map takes the place of one with fewer in it; of a larger one as many go as it has. */
const SPAN = 64;

export class PassingMap<K, V> {
  #map = new Map<K, V>();
  #gone = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  set(key: K, value: V): void {
    this.#map.set(key, value);
  }

  /** Removes an entry, if it is there. */
  delete(key: K): void {
    if (!this.#map.delete(key)) return;
    if (++this.#gone <= Math.max(SPAN, this.#map.size)) return;
    this.#map = new Map(this.#map);
    this.#gone = 0;
  }

  clear(): void {
    this.#map = new Map();
    this.#gone = 0;
  }
}
