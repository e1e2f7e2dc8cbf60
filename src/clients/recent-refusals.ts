/**
 * What etcd has refused lately: a yes to what was asked before counts no more, also where nothing else is known any more of
 * the client that was refused. One is kept as long as such a yes would count. Where there is no room for all, it is as if
 * everybody of whom none is known had been refused with the ones that had to go: etcd is asked again, and that is all.
 */
import type { TableBounds } from '../rpc/bounded-table.ts';
import { PERMISSION_MS } from './permission.ts';

/** How many are kept. */
const REFUSALS: TableBounds = { entries: 10_000, bytes: 1 << 20 };

/** What one costs beside its key, which is held twice. Bytes. */
const REFUSAL_BYTES = 100;

export class RecentRefusals {
  /** How many had to go before their time. */
  forgotten = 0;
  readonly #bounds: TableBounds;
  /** When etcd refused what, in milliseconds of `performance.now()`; the oldest first. */
  readonly #at = new Map<string, number>();
  #bytes = 0;
  /** The latest one that had to go. */
  #lostAt = Number.NEGATIVE_INFINITY;

  constructor(bounds = REFUSALS) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#at.size;
  }

  /** etcd refuses what stands under a key. */
  add(key: string, now: number): void {
    this.#remove(key);
    this.#at.set(key, now);
    this.#bytes += bytesOf(key);
    for (const [old, at] of this.#at) {
      const isOver = now - at >= PERMISSION_MS;
      if (!isOver && this.#at.size <= this.#bounds.entries && this.#bytes <= this.#bounds.bytes) break;
      this.#remove(old);
      if (isOver) continue;
      this.forgotten++;
      this.#lostAt = at;
    }
  }

  /** When etcd refused it the last time, as far as that matters. */
  of(key: string): number {
    return this.#at.get(key) ?? this.#lostAt;
  }

  #remove(key: string): void {
    if (this.#at.delete(key)) this.#bytes -= bytesOf(key);
  }
}

function bytesOf(key: string): number {
  return REFUSAL_BYTES + 2 * key.length;
}
