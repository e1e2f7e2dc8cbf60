/**
 * The watchers of a feed that see the same of it: same range, same filters, with or without previous values. What a
 * batch is to them is encoded once.
 */
import type { KeyRange } from '../etcd/key-range.ts';
import type { WatchOptions } from '../etcd/watch-request.ts';
import type { Batch, BatchEvent } from './batch.ts';
import type { MissedBatches } from './missed-batches.ts';
import { Selection } from './selection.ts';
import { STEP_VISITS, type Steps } from './slices.ts';

/** Tells audiences of a range apart. */
export function variantOf(options: WatchOptions, stripPrev: boolean): number {
  return (options.noPut ? 1 : 0) | (options.noDelete ? 2 : 0) | (stripPrev ? 4 : 0);
}

/** What an audience encodes. */
interface Encoder {
  release(): void;
}

/** Audiences that hold something which they encoded. */
let holding: Encoder[] = [];

function releaseSoon(audience: Encoder): void {
  if (holding.push(audience) === 1) queueMicrotask(releaseAll);
}

function releaseAll(): void {
  const all = holding;
  holding = [];
  for (const audience of all) audience.release();
}

/** An audience of watchers `W`, of which it needs to know nothing. */
export class Audience<W> {
  readonly range: KeyRange;
  readonly variant: number;
  /** How many watchers it has, synced or not. */
  size = 0;
  /** The synced watchers. */
  readonly synced = new Set<W>();
  /** What there is for the others, while there are any. */
  missed: MissedBatches | undefined;
  /** The batch that is being delivered, and what of it is for these watchers. */
  #delivered: Batch | undefined;
  #chosen: Selection | undefined;
  /** The batch encoded last, for watchers that catch up in the same turn. */
  #last: Batch | undefined;
  #tail: Buffer | undefined;
  readonly #noPut: boolean;
  readonly #noDelete: boolean;
  readonly #stripPrev: boolean;

  constructor(range: KeyRange, variant: number) {
    this.range = range;
    this.variant = variant;
    this.#noPut = (variant & 1) !== 0;
    this.#noDelete = (variant & 2) !== 0;
    this.#stripPrev = (variant & 4) !== 0;
  }

  /**
   * Chooses the event at a position of a batch that is being delivered, if a synced watcher is there to get it. For those that
   * are behind, the batch is one with something.
   * @returns whether it is the first one of the batch
   */
  choose(batch: Batch, at: number): boolean {
    if (!this.#passes(batch.events[at] as BatchEvent)) return false;
    this.missed?.add(batch.revision);
    if (this.synced.size === 0) return false;
    const isFirst = this.#delivered !== batch;
    if (isFirst) this.#chosen = this.selection();
    this.#delivered = batch;
    this.#chosen?.add(batch, at);
    return isFirst;
  }

  /** Gives out what was chosen. It is encoded when a watcher takes it, so that nothing is made where nobody reads. */
  take(): Selection {
    const chosen = this.#chosen as Selection;
    this.#chosen = undefined;
    this.#delivered = undefined;
    return chosen;
  }

  /** Header and events of a batch of the past for these watchers; `undefined` when it holds nothing for them. */
  encode(batch: Batch): Buffer | undefined {
    if (this.size === 1) return this.#encode(batch);
    if (batch !== this.#last) {
      if (this.#last === undefined) releaseSoon(this);
      this.#last = batch;
      this.#tail = this.#encode(batch);
    }
    return this.#tail;
  }

  /** Lets go of what was encoded: only histories keep events, since they are bounded. */
  release(): void {
    this.#last = undefined;
    this.#tail = undefined;
  }

  #encode(batch: Batch): Buffer | undefined {
    if (this.#isWhole(batch)) return batch.bytes;
    const selection = this.selection();
    this.select(batch, batch.first, selection);
    return selection.count === 0 ? undefined : selection.tailOf(batch);
  }

  /** Whether all of a batch is for these watchers as it is: then nothing is made for them. */
  #isWhole({ events }: Batch): boolean {
    for (const event of events)
      if (!this.wants(event) || (this.#stripPrev && event.prevStart !== event.prevEnd)) return false;
    return true;
  }

  /** For the events of one response to these watchers. */
  selection(): Selection {
    return new Selection(this.#stripPrev);
  }

  /** Adds the events of a batch from a revision on that are for these watchers. */
  select(batch: Batch, from: number, selection: Selection): void {
    this.#select(batch, from, selection, batch.positionOf(this.range.start), batch.events.length);
  }

  /** The same in slices. */
  *selecting(batch: Batch, from: number): Steps<Selection> {
    const selection = this.selection();
    const { length } = batch.events;
    for (let at = batch.positionOf(this.range.start); at < length; ) {
      const end = Math.min(length, at + STEP_VISITS);
      if (!this.#select(batch, from, selection, at, end)) break;
      yield end - at;
      at = end;
    }
    return selection;
  }

  /** Looks at the events from one position to another. @returns whether any that come later may be for these watchers */
  #select(batch: Batch, from: number, selection: Selection, begin: number, stop: number): boolean {
    const { events, inOrder } = batch;
    const { end } = this.range;
    for (let at = begin; at < stop; at++) {
      const event = events[at] as BatchEvent;
      if (event.revision >= from && this.wants(event)) selection.add(batch, at);
      else if (event.key >= end && inOrder) return false;
    }
    return true;
  }

  /** Whether an event is for these watchers. */
  wants(event: BatchEvent): boolean {
    return this.#passes(event) && this.range.contains(event.key);
  }

  /** Whether it passes their filters. */
  #passes({ isDelete }: BatchEvent): boolean {
    return isDelete ? !this.#noDelete : !this.#noPut;
  }
}
