/**
 * What a feed remembers: its latest batches, oldest first. A watcher is a revision to go on from, so a batch can be
 * forgotten at any time; a watcher that still needs it finds that out from {@link History.floor}.
 */
import type { Batch } from './batch.ts';

/** The bound that all histories share. */
export class HistoryBudget {
  readonly limit: number;
  bytes = 0;
  readonly #histories = new Set<History>();

  /** @param limit bytes of all histories together */
  constructor(limit: number) {
    this.limit = limit;
  }

  add(history: History): void {
    this.#histories.add(history);
  }

  remove(history: History): void {
    this.#histories.delete(history);
  }

  /** Brings the whole below the limit. The largest give; those that are kept only what is over half of the limit. */
  enforce(): void {
    if (this.bytes <= this.limit) return;
    const goal = this.limit * ENOUGH;
    const kept: History[] = [];
    const others: History[] = [];
    for (const history of this.#histories) (history.kept ? kept : others).push(history);
    const left = shrink(kept, goal / 2);
    shrink(others, goal - left);
  }
}

/** How full the bound is after room was made, so that this is not done at every event. */
const ENOUGH = 0.9;

/** Cuts the largest of some histories to one size, so that all have so many bytes together. @returns what they have then */
function shrink(histories: readonly History[], goal: number): number {
  const sizes = histories.map(({ bytes }) => bytes).sort((a, b) => a - b);
  let left = goal;
  for (const [i, size] of sizes.entries()) {
    const share = left / (sizes.length - i);
    if (size > share) {
      for (const history of histories) history.shrink(share);
      break;
    }
    left -= size;
  }
  return histories.reduce((sum, { bytes }) => sum + bytes, 0);
}

export class History {
  /** Every event of the range with a revision from here to the feed's applied revision is in the history. */
  floor: number;
  bytes = 0;
  /**
   * It belongs to a catch-up, which stops reading etcd while its watchers lag. Such histories share half of the bound and
   * are cut only above that.
   */
  kept = false;
  readonly #budget: HistoryBudget;
  readonly #maxRevisions: number;
  #batches: Batch[] = [];
  /** For each batch, what all batches before it cost, also those that are gone. */
  #before: number[] = [];
  /** What all batches ever cost. */
  #pushed = 0;
  #head = 0;
  #released = false;
  #revisions = 0;

  constructor(floor: number, maxRevisions: number, budget: HistoryBudget) {
    this.floor = floor;
    this.#maxRevisions = maxRevisions;
    this.#budget = budget;
    budget.add(this);
  }

  /** How many batches there are. */
  get length(): number {
    return this.#batches.length - this.#head;
  }

  /** The batch at a position, counted from the oldest. */
  at(position: number): Batch | undefined {
    return this.#batches[this.#head + position];
  }

  /** The position of the first batch that has this revision or a later one. */
  find(revision: number): number {
    let low = this.#head;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#batches[middle] as Batch).revision < revision) low = middle + 1;
      else high = middle;
    }
    return low - this.#head;
  }

  /** Whether it goes back to a revision, and has nothing from there on. */
  endsBefore(revision: number): boolean {
    return revision >= this.floor && this.find(revision) === this.length;
  }

  push(batch: Batch): void {
    if (this.#released) return;
    this.#batches.push(batch);
    this.#before.push(this.#pushed);
    this.#pushed += batch.cost;
    this.bytes += batch.cost;
    this.#budget.bytes += batch.cost;
    this.#revisions += batch.revisions;
    while (this.#revisions > this.#maxRevisions) this.#dropOldest();
  }

  /** The bytes of the batches that a watcher which needs this revision has before it. */
  bytesFrom(revision: number): number {
    return this.#pushed - (this.#before[this.#head + this.find(revision)] ?? this.#pushed);
  }

  /** Forgets the oldest batches until at most so many bytes are left. */
  shrink(bytes: number): void {
    while (this.bytes > bytes) this.#dropOldest();
  }

  /** Forgets what lies before a revision. */
  forgetBefore(revision: number): void {
    while (this.length > 0 && (this.at(0) as Batch).revision < revision) this.#dropOldest();
  }

  /** Forgets everything, for good. */
  release(): void {
    this.shrink(0);
    this.#released = true;
    this.#budget.remove(this);
  }

  #dropOldest(): void {
    const batch = this.#batches[this.#head] as Batch;
    this.floor = batch.revision + 1;
    this.bytes -= batch.cost;
    this.#budget.bytes -= batch.cost;
    this.#revisions -= batch.revisions;
    this.#batches[this.#head++] = undefined as unknown as Batch;
    if (this.#head < 64 || this.#head * 2 < this.#batches.length) return;
    this.#batches = this.#batches.slice(this.#head);
    this.#before = this.#before.slice(this.#head);
    this.#head = 0;
  }
}
