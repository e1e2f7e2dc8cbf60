/**
 * Finds what stands for the ranges that a batch has events in: single keys in a map, ranges in an interval tree. What
 * an event costs depends on how many it is for, not on how many there are.
 */

import type { KeyRange } from '../etcd/key-range.ts';
import type { Batch } from './batch.ts';
import { IntervalTree } from './interval-tree.ts';

/** Any number of things for each range. */
export class RangeIndex<T extends object> {
  readonly #keys = new Map<string, Set<T>>();
  readonly #ranges = new Map<string, Set<T>>();
  readonly #tree = new IntervalTree<Set<T>>();
  #size = 0;

  /** How many things are in it. */
  get size(): number {
    return this.#size;
  }

  add(range: KeyRange, thing: T): void {
    this.#size++;
    const found = this.#of(range);
    if (found !== undefined) {
      found.add(thing);
      return;
    }
    const made = new Set([thing]);
    if (range.exact) this.#keys.set(range.start, made);
    else {
      this.#ranges.set(range.id, made);
      this.#tree.add(range, made);
    }
  }

  /** Removes a thing. @returns whether it was there */
  remove(range: KeyRange, thing: T): boolean {
    const found = this.#of(range);
    if (found === undefined || !found.delete(thing)) return false;
    this.#size--;
    if (found.size > 0) return true;
    if (range.exact) this.#keys.delete(range.start);
    else {
      this.#ranges.delete(range.id);
      this.#tree.remove(range);
    }
    return true;
  }

  /** What stands for a range in which the batch has an event, each with the revision of the last such event. */
  match(batch: Batch): ReadonlyMap<T, number> {
    const matched = new Map<T, number>();
    if (this.#size === 0) return matched;
    let at = 0;
    const collect = (things: Set<T>): void => {
      for (const thing of things) matched.set(thing, at);
    };
    for (const { key, revision } of batch.events) {
      at = revision;
      const exact = this.#keys.get(key);
      if (exact !== undefined) collect(exact);
      if (this.#ranges.size > 0) this.#tree.visit(key, collect);
    }
    return matched;
  }

  /** Everything there is. */
  *all(): Iterable<T> {
    for (const things of this.#keys.values()) yield* things;
    for (const things of this.#ranges.values()) yield* things;
  }

  #of(range: KeyRange): Set<T> | undefined {
    return range.exact ? this.#keys.get(range.start) : this.#ranges.get(range.id);
  }
}
