/**
 * Which batches hold something for an audience, from when the first of its watchers fell behind: very many may lag at a time, each
 * for little of what happens meanwhile, and none of them looks through all of that.
 */
import type { HeldBytes } from './held-bytes.ts';
import type { History } from './history.ts';

/** What one place costs. Bytes. */
const PLACE_BYTES = 8;

export class MissedBatches {
  readonly #history: Pick<History, 'floor'>;
  readonly #room: HeldBytes;
  /** From this revision on every batch that holds something is known. */
  #since: number;
  /** Their last revisions, in order, and where those begin that are not forgotten. */
  #places: number[] = [];
  #head = 0;

  /**
   * @param room of all that is known so
   * @param since the first revision of which {@link add} will tell
   */
  constructor(history: Pick<History, 'floor'>, room: HeldBytes, since: number) {
    this.#history = history;
    this.#room = room;
    this.#since = since;
  }

  /** The batch that ends with a revision holds something. Where there is no room for that, whoever wants to know looks up to there. */
  add(revision: number): void {
    if (revision < this.#since || this.#places.at(-1) === revision) return;
    this.#trim();
    if (this.#room.take(PLACE_BYTES)) this.#places.push(revision);
    else {
      this.forget();
      this.#since = revision + 1;
    }
  }

  /** The least revision from one on at which a batch may end that holds something; `Infinity`: none that was told of does. */
  from(revision: number): number {
    if (revision < this.#since) return revision;
    let low = this.#head;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#places[middle] as number) < revision) low = middle + 1;
      else high = middle;
    }
    return this.#places[low] ?? Number.POSITIVE_INFINITY;
  }

  /** Nobody needs it any more. */
  forget(): void {
    this.#room.release(PLACE_BYTES * (this.#places.length - this.#head));
    this.#places = [];
    this.#head = 0;
  }

  /** Lets go of batches that the history has forgotten. */
  #trim(): void {
    const { floor } = this.#history;
    const before = this.#head;
    while (this.#head < this.#places.length && (this.#places[this.#head] as number) < floor) this.#head++;
    this.#room.release(PLACE_BYTES * (this.#head - before));
    if (this.#head * 2 <= this.#places.length) return;
    this.#places = this.#places.slice(this.#head);
    this.#head = 0;
  }
}
