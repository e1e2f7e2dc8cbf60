/**
 * One value for each range, found by the keys of events: single keys in a map, ranges in an interval tree. What an event
 * costs depends on the ranges that it is in, not on how many there are.
 */

import type { KeyRange } from '../etcd/key-range.ts';
import { IntervalTree } from './interval-tree.ts';

export class RangeMap<V> {
  readonly #keys = new Map<string, V>();
  readonly #ranges = new Map<string, V>();
  readonly #tree = new IntervalTree<V>();

  get(range: KeyRange): V | undefined {
    return range.exact ? this.#keys.get(range.start) : this.#ranges.get(range.id);
  }

  /** Gives a value to a range that has none. */
  add(range: KeyRange, value: V): void {
    if (range.exact) this.#keys.set(range.start, value);
    else {
      this.#ranges.set(range.id, value);
      this.#tree.add(range, value);
    }
  }

  delete(range: KeyRange): void {
    if (range.exact) this.#keys.delete(range.start);
    else {
      this.#ranges.delete(range.id);
      this.#tree.remove(range);
    }
  }

  /** Calls `visit` with the value of every range that contains the key. */
  visit(key: string, visit: (value: V) => void): void {
    // A key that is looked up for the first time is hashed, which costs more than everything else here.
    const exact = this.#keys.size > 0 ? this.#keys.get(key) : undefined;
    if (exact !== undefined) visit(exact);
    if (this.#ranges.size > 0) this.#tree.visit(key, visit);
  }

  /**
   * Calls `visit` with the value of the very range, if there is one, then with those of others that have all of it in
   * them, while that returns `true`.
   */
  covering(range: KeyRange, visit: (value: V) => boolean): void {
    const same = this.get(range);
    if (same !== undefined && !visit(same)) return;
    if (this.#ranges.size > 0) this.#tree.covering(range, (value) => value === same || visit(value));
  }

  /** Every value. */
  *values(): Iterable<V> {
    yield* this.#keys.values();
    yield* this.#ranges.values();
  }
}
