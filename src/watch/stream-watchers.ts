/**
 * The watches of a client's stream, by the numbers that the client knows them by. What is counted and kept for a watch is so from
 * when it is added until it is removed, once, however it ends.
 */
import { watchId } from '../etcd/watch-reply.ts';
import type { ServerStream } from '../rpc/contract.ts';
import type { LongKeys } from './long-keys.ts';
import type { WatchStats } from './stats.ts';
import { UniqueQueue } from './unique-queue.ts';
import type { Watcher } from './watcher.ts';

/** Where they are counted. */
export interface WatcherAccounts {
  readonly stats: WatchStats;
  readonly longKeys: Pick<LongKeys, 'release'>;
}

export class StreamWatchers {
  readonly #accounts: WatcherAccounts;
  readonly #client: Pick<ServerStream, 'hold'>;
  readonly #byId = new Map<bigint, Watcher>();
  /** Those whose client has to take something before they go on, in the order in which they do. */
  readonly #lagging = new UniqueQueue<Watcher>();
  #next = 0;

  constructor(accounts: WatcherAccounts, client: Pick<ServerStream, 'hold'>) {
    this.#accounts = accounts;
    this.#client = client;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The watch of a number. */
  get(id: bigint): Watcher | undefined {
    return this.#byId.get(id);
  }

  /** Whether this very watch is here: its number may be another one's by now. */
  has(watcher: Watcher): boolean {
    return this.#byId.get(watcher.id) === watcher;
  }

  /** All of them. One that is removed meanwhile is passed over. */
  all(): Iterable<Watcher> {
    return this.#byId.values();
  }

  /** The number of a new watch: as etcd does, the one that its client wants, or the least from the last one on that is free. */
  numberOf(wanted: bigint): bigint {
    if (wanted !== 0n) return wanted;
    while (this.#byId.has(watchId(this.#next))) this.#next++;
    return watchId(this.#next++);
  }

  /** Adds a watch, whose number is free, and whose long key is counted. */
  add(watcher: Watcher): void {
    this.#byId.set(watcher.id, watcher);
    this.#accounts.stats.watchers++;
    this.#client.hold(watcher.range.bytes);
  }

  /** Takes a watch off; its feed has to let it go as well. */
  remove(watcher: Watcher): void {
    if (!this.has(watcher)) return;
    const { stats, longKeys } = this.#accounts;
    this.#byId.delete(watcher.id);
    this.#client.hold(-watcher.range.bytes);
    stats.watchers--;
    longKeys.release(watcher.range);
    watcher.permit?.leave(watcher);
    if (this.#lagging.delete(watcher)) stats.lagging--;
  }

  /** A watch lags, if it did not already. */
  lag(watcher: Watcher): void {
    if (this.#lagging.add(watcher)) this.#accounts.stats.lagging++;
  }

  /** The one that lags for longest, which is to go on now. */
  takeLagging(): Watcher | undefined {
    const watcher = this.#lagging.take();
    if (watcher !== undefined) this.#accounts.stats.lagging--;
    return watcher;
  }
}
