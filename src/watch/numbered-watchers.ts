/** The watches of a client's stream, by the numbers that the client knows them by. */
import { watchId } from '../etcd/watch-reply.ts';
import type { Watcher } from './watcher.ts';

export class NumberedWatchers extends Map<bigint, Watcher> {
  #next = 0;

  /** The number of a new watch: as etcd does, the one that its client wants, or the least from the last one on that is free. */
  numberOf(wanted: bigint): bigint {
    if (wanted !== 0n) return wanted;
    while (this.has(watchId(this.#next))) this.#next++;
    return watchId(this.#next++);
  }
}
