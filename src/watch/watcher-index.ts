/** The watchers of a feed, by what they see of it; the audiences that an event is for are found by its key. */

import type { KeyRange } from '../etcd/key-range.ts';
import { Audience } from './audience.ts';
import type { Batch, BatchEvent } from './batch.ts';
import type { HeldBytes } from './held-bytes.ts';
import type { History } from './history.ts';
import { MissedBatches } from './missed-batches.ts';
import { RangeMap } from './range-map.ts';
import { STEP_VISITS, type Steps } from './slices.ts';
import type { Watcher } from './watcher.ts';

export class WatcherIndex {
  /** The audiences of each range, one of each variant. */
  readonly #audiences = new RangeMap<Audience<Watcher>[]>();
  #matched: Audience<Watcher>[] = [];
  /** The batch that is looked at, and where. */
  #batch: Batch | undefined;
  #at = 0;
  #visits = 0;
  /** The audiences of all batches up to here have been found. */
  #looked = 0;
  readonly #history: Pick<History, 'floor'>;
  readonly #room: HeldBytes;
  readonly #collect = (audiences: readonly Audience<Watcher>[]): void => {
    this.#visits += audiences.length;
    for (const audience of audiences)
      if (audience.choose(this.#batch as Batch, this.#at)) this.#matched.push(audience);
  };

  /**
   * @param history where the watchers that are behind find what they have missed
   * @param room for what is known of that
   */
  constructor(history: Pick<History, 'floor'>, room: HeldBytes) {
    this.#history = history;
    this.#room = room;
  }

  /** The audience of one more watcher, which is not synced. */
  enter(range: KeyRange, variant: number): Audience<Watcher> {
    const audience = find(this.#audiences.get(range), variant) ?? this.#make(range, variant);
    audience.size++;
    this.#track(audience);
    return audience;
  }

  /** A watcher, which is not synced any more, leaves its audience. */
  leave(audience: Audience<Watcher>): void {
    if (--audience.size === 0) this.#drop(audience);
    this.#track(audience);
  }

  /** A watcher of an audience is synced from now on. */
  sync(audience: Audience<Watcher>, watcher: Watcher): void {
    audience.synced.add(watcher);
    this.#track(audience);
  }

  /** It is so no longer. */
  unsync(audience: Audience<Watcher>, watcher: Watcher): void {
    audience.synced.delete(watcher);
    this.#track(audience);
  }

  /** The least revision from one on at which a batch may end that holds something for an audience of which a watcher is behind. */
  next(audience: Audience<Watcher>, revision: number): number {
    const { missed } = audience;
    if (missed === undefined) return revision;
    return Math.max(revision, Math.min(missed.from(revision), this.#looked + 1));
  }

  /** The audiences with synced watchers that a batch is for, each once; of each, {@link Audience.take} has the events. */
  match(batch: Batch): readonly Audience<Watcher>[] {
    this.#begin(batch);
    this.#look(batch, Number.POSITIVE_INFINITY);
    return this.#end();
  }

  /** The same in slices: an audience may lose its synced watchers meanwhile, and who is synced anew has had the batch. */
  *matching(batch: Batch): Steps<readonly Audience<Watcher>[]> {
    this.#begin(batch);
    while (this.#at < batch.events.length) yield this.#look(batch, STEP_VISITS);
    return this.#end();
  }

  #begin(batch: Batch): void {
    this.#matched = [];
    this.#batch = batch;
    this.#at = 0;
  }

  /** Looks at events until that took so many visits. @returns how many it took */
  #look({ events }: Batch, most: number): number {
    this.#visits = 0;
    for (; this.#at < events.length && this.#visits < most; this.#at++) {
      this.#visits++;
      this.#audiences.visit((events[this.#at] as BatchEvent).key, this.#collect);
    }
    return this.#visits;
  }

  #end(): readonly Audience<Watcher>[] {
    const matched = this.#matched;
    this.#matched = [];
    this.#looked = this.#batch?.revision ?? this.#looked;
    this.#batch = undefined;
    return matched;
  }

  /** The synced watchers. */
  *synced(): Iterable<Watcher> {
    for (const audiences of this.#audiences.values()) for (const { synced } of audiences) yield* synced;
  }

  /** What there is for those that are behind is kept while there are any: of a batch that is being looked at, not all may be known. */
  #track(audience: Audience<Watcher>): void {
    if (audience.size > audience.synced.size)
      audience.missed ??= new MissedBatches(
        this.#history,
        this.#room,
        (this.#batch?.revision ?? this.#looked) + 1,
      );
    else {
      audience.missed?.forget();
      audience.missed = undefined;
    }
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

function find(
  audiences: readonly Audience<Watcher>[] | undefined,
  variant: number,
): Audience<Watcher> | undefined {
  if (audiences !== undefined)
    for (const audience of audiences) if (audience.variant === variant) return audience;
  return undefined;
}
