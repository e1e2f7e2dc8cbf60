/**
 * One value for each range, found by the keys of events: single keys in a map, ranges in an interval tree. What an event
 * costs depends on the ranges that it is in, not on how many there are.
 *
 * There are several for each feed, and most are empty or have ranges of one kind: what holds the others is there only while
 * they are.
 */

import type { KeyRange } from '../etcd/key-range.ts';
import { IntervalTree } from './interval-tree.ts';

/** Ranges of more than one key. */
interface Wide<V> {
  readonly byId: Map<string, V>;
  readonly tree: IntervalTree<V>;
}

export class RangeMap<V> {
  #keys: Map<string, V> | undefined;
  #wide: Wide<V> | undefined;

  get(range: KeyRange): V | undefined {
    return range.exact ? this.#keys?.get(range.start) : this.#wide?.byId.get(range.id);
  }

  /** Gives a value to a range that has none. */
  add(range: KeyRange, value: V): void {
    if (range.exact) {
      this.#keys ??= new Map();
      this.#keys.set(range.start, value);
    } else {
      this.#wide ??= { byId: new Map(), tree: new IntervalTree() };
      this.#wide.byId.set(range.id, value);
      this.#wide.tree.add(range, value);
    }
  }

  delete(range: KeyRange): void {
    if (range.exact) {
      this.#keys?.delete(range.start);
      if (this.#keys?.size === 0) this.#keys = undefined;
    } else {
      this.#wide?.byId.delete(range.id);
      this.#wide?.tree.remove(range);
      if (this.#wide?.byId.size === 0) this.#wide = undefined;
    }
  }

  /** Calls `visit` with the value of every range that contains the key. */
  visit(key: string, visit: (value: V) => void): void {
    // A key that is looked up for the first time is hashed, which costs more than everything else here.
    const exact = this.#keys?.get(key);
    if (exact !== undefined) visit(exact);
    this.#wide?.tree.visit(key, visit);
  }

  /**
   * Calls `visit` with the value of the very range, if there is one, then with those of others that have all of it in
   * them, while that returns `true`.
   */
  covering(range: KeyRange, visit: (value: V) => boolean): void {
    const same = this.get(range);
    if (same !== undefined && !visit(same)) return;
    this.#wide?.tree.covering(range, (value) => value === same || visit(value));
  }

  /** Every value. */
  *values(): Iterable<V> {
    if (this.#keys !== undefined) yield* this.#keys.values();
    if (this.#wide !== undefined) yield* this.#wide.byId.values();
  }
}
