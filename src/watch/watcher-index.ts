/** The watchers of a feed, by what they see of it; the audiences that an event is for are found by its key. */

import type { KeyRange } from '../etcd/key-range.ts';
import { Audience } from './audience.ts';
import type { Batch } from './batch.ts';
import { RangeMap } from './range-map.ts';
import type { Watcher } from './watcher.ts';

export class WatcherIndex {
  /** The audiences of each range, one of each variant. */
  readonly #audiences = new RangeMap<Audience<Watcher>[]>();
  #matched: Audience<Watcher>[] = [];
  readonly #collect = (audiences: readonly Audience<Watcher>[]): void => {
    for (const audience of audiences) this.#matched.push(audience);
  };

  /** The audience of one more watcher. */
  enter(range: KeyRange, variant: number): Audience<Watcher> {
    const found = this.#audiences.get(range)?.find((other) => other.variant === variant);
    const audience = found ?? this.#make(range, variant);
    audience.size++;
    return audience;
  }

  /** A watcher, which is not synced any more, leaves its audience. */
  leave(audience: Audience<Watcher>): void {
    if (--audience.size === 0) this.#drop(audience);
  }

  /** The audiences that a batch may be for, each once. The list is valid until the next call. */
  match(batch: Batch): readonly Audience<Watcher>[] {
    const matched: Audience<Watcher>[] = [];
    this.#matched = matched;
    for (const { key } of batch.events) this.#audiences.visit(key, this.#collect);
    return batch.events.length === 1 ? matched : [...new Set(matched)];
  }

  /** The synced watchers. */
  *synced(): Iterable<Watcher> {
    for (const audiences of this.#audiences.values()) for (const { synced } of audiences) yield* synced;
  }

  #make(range: KeyRange, variant: number): Audience<Watcher> {
    const audience = new Audience<Watcher>(range, variant);
    const audiences = this.#audiences.get(range);
    if (audiences === undefined) this.#audiences.add(range, [audience]);
    else audiences.push(audience);
    return audience;
  }

  #drop(audience: Audience<Watcher>): void {
    const { range } = audience;
    const audiences = this.#audiences.get(range);
    if (audiences === undefined) return;
    const at = audiences.indexOf(audience);
    if (at >= 0) audiences.splice(at, 1);
    if (audiences.length === 0) this.#audiences.delete(range);
  }
}
