/**
 * The watchers of a feed that have something before them, and the lowest revision that one of them needs. They are asked
 * for it whenever one of them comes, goes or reads, so it is kept: a heap of revisions, each with how many need it. The tables
 * are there from the first one on: on most feeds, none ever has.
 */
import { addTo, removeLeast } from './heap.ts';
import type { Watcher } from './watcher.ts';

/** Fewer revisions that nobody needs any more are not worth to be swept out. */
const FEW = 64;

export class LaggingWatchers {
  /** Each with the revision that it needed when it was looked at. */
  #watchers: Map<Watcher, number> | undefined;
  /** How many need each revision of the heap; it may be none. */
  #counts: Map<number, number> | undefined;
  #heap: number[] = [];
  /** Revisions of the heap that nobody needs. */
  #unneeded = 0;

  get size(): number {
    return this.#watchers?.size ?? 0;
  }

  /** The lowest revision that one of them needs; `Infinity` when there is none. */
  get least(): number {
    for (;;) {
      const least = this.#heap[0];
      if (least === undefined) return Number.POSITIVE_INFINITY;
      if (this.#counts?.get(least) !== 0) return least;
      this.#counts.delete(least);
      this.#unneeded--;
      removeLeast(this.#heap);
    }
  }

  /** A watcher is one of them, or has come further. */
  set(watcher: Watcher): void {
    const { next } = watcher;
    this.#watchers ??= new Map();
    const before = this.#watchers.get(watcher);
    if (before === next) return;
    this.#watchers.set(watcher, next);
    if (before !== undefined) this.#drop(before);
    this.#need(next);
  }

  /** It is none of them any more, if it was. */
  delete(watcher: Watcher): void {
    const before = this.#watchers?.get(watcher);
    if (before === undefined) return;
    this.#watchers?.delete(watcher);
    this.#drop(before);
  }

  /** All of them. */
  all(): Iterable<Watcher> {
    return this.#watchers?.keys() ?? [];
  }

  #need(revision: number): void {
    this.#counts ??= new Map();
    const count = this.#counts.get(revision);
    this.#counts.set(revision, (count ?? 0) + 1);
    if (count === undefined) addTo(this.#heap, revision);
    else if (count === 0) this.#unneeded--;
  }

  #drop(revision: number): void {
    const counts = this.#counts as Map<number, number>;
    const count = (counts.get(revision) as number) - 1;
    counts.set(revision, count);
    if (count > 0) return;
    this.#unneeded++;
    if (this.#unneeded > FEW && this.#unneeded * 2 > this.#heap.length) this.#sweep(counts);
  }

  #sweep(counts: Map<number, number>): void {
    for (const [revision, count] of counts) if (count === 0) counts.delete(revision);
    this.#unneeded = 0;
    // What is sorted is a heap.
    this.#heap = [...counts.keys()].sort((one, other) => one - other);
  }
}
