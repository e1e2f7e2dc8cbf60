/**
 * What clients did and saw, in the order in which it happened. All of them live in one process, so that a count
 * of events is a clock that is exact.
 */

/** A key with its value, as a read returns it and as the store has it. */
export interface Pair {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

/** What all operations have. Times are of {@link History.now}. */
interface Operation {
  /** Who did it, for reports. */
  readonly by: string;
  readonly invoked: number;
  /** Infinity when the client was never told. */
  readonly completed: number;
}

/** Puts and deletes at one revision. */
export interface Write extends Operation {
  /** New values by key, each value unique in the history; `undefined` deletes. */
  readonly changes: ReadonlyMap<string, string | undefined>;
  /** The revision in the answer; `undefined` when its fate is unknown. */
  readonly revision: number | undefined;
}

/** A read of some keys at one revision, that which its answer names. */
export interface Read extends Operation {
  readonly keys: readonly string[];
  readonly revision: number;
  readonly pairs: readonly Pair[];
}

/** A change of the store, from its own log. */
export interface Change {
  readonly revision: number;
  readonly key: string;
  /** `undefined` for a delete. */
  readonly value: string | undefined;
}

/** Collects operations. */
export class History {
  readonly writes: Write[] = [];
  readonly reads: Read[] = [];
  #clock = 0;

  /** A time that no other event has. */
  now(): number {
    return ++this.#clock;
  }
}
