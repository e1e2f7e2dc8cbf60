/**
 * What a read costs, counted while it is worked out: in keys that were looked at, since a small request may ask for any
 * number of them. With a slice of it done, everybody else has a turn; a read that needs more than it may is left to etcd.
 */
import { BYTES_PER_VISIT } from '../rpc/visits.ts';

/** Visits in one turn of the event loop: a few milliseconds. */
export const SLICE_VISITS = 8192;
/** Visits that one read may cost here. */
export const MAX_VISITS = 1 << 21;
/** Taking a key's bytes apart is as much work as so many visits. */
const READ_VISITS = 16;

/** Work that can be interrupted: it stops wherever others may have their turn. */
export type Interruptible<T> = Generator<undefined, T, undefined>;

export class Work {
  /** What has been done so far: keys, older versions passed over, and what else takes as long. */
  visits = 0;
  readonly #most: number;
  readonly #slice: number;
  #until: number;

  /**
   * @param most the visits that it may cost
   * @param slice the visits after which others have their turn
   */
  constructor(most = MAX_VISITS, slice = SLICE_VISITS) {
    this.#most = most;
    this.#slice = slice;
    this.#until = slice;
  }

  /** Whether others should have a turn. */
  get due(): boolean {
    return this.visits >= this.#until;
  }

  /** Whether it has cost more than it may. */
  get spent(): boolean {
    return this.visits > this.#most;
  }

  /** So many bytes are copied. */
  copy(bytes: number): void {
    this.visits += 1 + Math.floor(bytes / BYTES_PER_VISIT);
  }

  /** So many bytes are taken apart for one of their fields. */
  read(bytes: number): void {
    this.visits += READ_VISITS;
    this.copy(bytes);
  }

  /** The others had their turn. */
  next(): void {
    this.#until = this.visits + this.#slice;
  }
}
