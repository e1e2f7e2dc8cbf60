/** A run of neighbouring keys, sorted, each with its newest version. Small enough that an insertion costs little. */
import type { Version } from './version.ts';

/** Keys in a chunk; one more and it becomes two. */
export const CHUNK_KEYS = 512;

export class Chunk {
  readonly keys: string[];
  readonly newest: Version[];
  /** How many of the keys exist now. */
  live: number;
  /** The latest revision at which anything in it has changed. */
  changed: number;

  constructor(keys: string[], newest: Version[], live: number, changed: number) {
    this.keys = keys;
    this.newest = newest;
    this.live = live;
    this.changed = changed;
  }

  /** The place of the first key that is not below this one. */
  find(key: string): number {
    const { keys } = this;
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Keeps the lower half and returns the other as a chunk of its own. */
  split(): Chunk {
    const half = this.keys.length >> 1;
    const newest = this.newest.splice(half);
    const live = newest.reduce((count, version) => count + (version.exists ? 1 : 0), 0);
    this.live -= live;
    return new Chunk(this.keys.splice(half), newest, live, this.changed);
  }
}
