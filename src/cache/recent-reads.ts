/**
 * Notices what is read a second time soon, in a table of fixed size: however many different reads there are, no memory
 * grows. Two reads that share a place make each other forgotten, which only costs time.
 */

/** Places, a power of two; the table takes eight bytes for each. */
const PLACES = 1 << 16;

/** Reads within this time of each other make a range worth watching, in milliseconds. */
const SOON_MS = 5000;

export class RecentReads {
  readonly #hashes = new Uint32Array(PLACES);
  /** When, in milliseconds; wraps after 49 days, which makes a read look old or new once. */
  readonly #times = new Uint32Array(PLACES);

  /** Notes a read. @returns whether the same was read a short time ago */
  again(key: string, now: number): boolean {
    const hash = hashOf(key);
    const place = hash & (PLACES - 1);
    const time = Math.floor(now) >>> 0;
    const again = this.#hashes[place] === hash && time - (this.#times[place] as number) < SOON_MS;
    this.#hashes[place] = hash;
    this.#times[place] = time;
    return again;
  }
}

/** FNV-1a, with the bits mixed once more so that the low ones depend on all; never zero. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13) || 1) >>> 0;
}
