/**
 * The synced watchers of a feed, found by the keys of events: single keys in a map, ranges in an interval tree. What
 * an event costs depends on the watchers that it is for.
 */

import type { KeyRange } from '../etcd/key-range.ts';
import { Audience } from './audience.ts';
import type { Batch } from './batch.ts';
import { IntervalTree } from './interval-tree.ts';
import type { Watcher } from './watcher.ts';

/** The audiences of one range, by variant. */
type Audiences = Audience[];

export class WatcherIndex {
  readonly #keys = new Map<string, Audiences>();
  readonly #ranges = new Map<string, Audiences>();
  readonly #tree = new IntervalTree<Audiences>();
  #matched: Audience[] = [];
  readonly #collect = (audiences: Audiences): void => {
    for (const audience of audiences) this.#matched.push(audience);
  };

  /** Gives a watcher its audience. */
  enter(watcher: Watcher, variant: number): void {
    const found = this.#of(watcher.range)?.find((audience) => audience.variant === variant);
    const audience = found ?? new Audience(watcher.range, variant);
    if (found === undefined) this.#insert(audience);
    audience.members++;
    watcher.audience = audience;
    watcher.range = audience.range;
  }

  /** The watcher leaves its audience; it must not be synced any more. */
  leave(watcher: Watcher): void {
    const { audience } = watcher;
    if (audience === undefined) return;
    watcher.audience = undefined;
    if (--audience.members === 0) this.#drop(audience);
  }

  /** The audiences that a batch may be for, each once. The list is valid until the next call. */
  match(batch: Batch): readonly Audience[] {
    const matched: Audience[] = [];
    this.#matched = matched;
    for (const { key } of batch.events) {
      const exact = this.#keys.get(key);
      if (exact !== undefined) this.#collect(exact);
      if (this.#ranges.size > 0) this.#tree.visit(key, this.#collect);
    }
    return batch.events.length === 1 ? matched : [...new Set(matched)];
  }

  /** The synced watchers. */
  *synced(): Iterable<Watcher> {
    for (const audiences of this.#keys.values()) for (const { watchers } of audiences) yield* watchers;
    for (const audiences of this.#ranges.values()) for (const { watchers } of audiences) yield* watchers;
  }

  #of(range: KeyRange): Audiences | undefined {
    return range.exact ? this.#keys.get(range.start) : this.#ranges.get(range.id);
  }

  #insert(audience: Audience): void {
    const { range } = audience;
    const audiences = this.#of(range);
    if (audiences !== undefined) {
      audiences.push(audience);
      return;
    }
    const made = [audience];
    if (range.exact) this.#keys.set(range.start, made);
    else {
      this.#ranges.set(range.id, made);
      this.#tree.add(range, made);
    }
  }

  #drop(audience: Audience): void {
    const { range } = audience;
    const audiences = this.#of(range);
    if (audiences === undefined) return;
    const at = audiences.indexOf(audience);
    if (at >= 0) audiences.splice(at, 1);
    if (audiences.length > 0) return;
    if (range.exact) this.#keys.delete(range.start);
    else {
      this.#ranges.delete(range.id);
      this.#tree.remove(range);
    }
  }
}
