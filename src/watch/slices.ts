/**
 * What a huge revision costs is done in slices: an event that is looked at or copied is a visit, and in one turn of the event
 * loop only so many are made, for all that is under way together. They take turns after each step, so that a small one does not wait
 * for a large one.
 */

import { BYTES_PER_VISIT } from '../rpc/visits.ts';
import { UniqueQueue } from './unique-queue.ts';

/** Work in steps, each of which says how many visits it took: some thousand at most. */
export type Steps<T = void> = Generator<number, T, undefined>;

/** What costs more visits than this is worked off in slices. */
const HUGE = 4096;
/** Visits of one step. */
export const STEP_VISITS = 2048;
/** Visits in one turn: some five milliseconds. */
const TURN_VISITS = 8192;

/** What copying some events costs. */
export const visitsOf = (events: number, bytes: number): number =>
  events + Math.floor(bytes / BYTES_PER_VISIT);

/** Whether that is too much for one turn: many events, or many bytes of however few. */
export const isHuge = (events: number, bytes: number): boolean => visitsOf(events, bytes) > HUGE;

/** Where an event lies that is to be copied. */
interface Extent {
  readonly start: number;
  readonly end: number;
}

/** The position up to which one step copies the events from a position on: one at the least, and none from `to` on. */
export function endOfStep(events: readonly Extent[], from: number, to: number): number {
  let at = from;
  for (let bytes = 0; at < to && visitsOf(at - from, bytes) < STEP_VISITS; at++) {
    const { start, end } = events[at] as Extent;
    bytes += end - start;
  }
  return at;
}

/** Something that is worked off. */
export interface SlicedJob {
  readonly steps: Steps;
  /** A step has thrown: there are no more. */
  onFault(error: unknown): void;
}

export class Slices {
  readonly #line = new UniqueQueue<SlicedJob>();
  #turn: NodeJS.Immediate | undefined;

  /** Has it worked off, from the next turn on. */
  add(job: SlicedJob): void {
    this.#line.add(job);
    this.#turn ??= setImmediate(() => this.#run());
  }

  /** Does the rest of it now, for whoever cannot wait. */
  finish(job: SlicedJob): void {
    if (this.#line.delete(job)) while (step(job) > 0);
  }

  /** Nobody wants it any more. */
  cancel(job: SlicedJob): void {
    this.#line.delete(job);
  }

  #run(): void {
    this.#turn = undefined;
    for (let left = TURN_VISITS; left > 0; ) {
      const job = this.#line.first;
      if (job === undefined) return;
      const visits = step(job);
      // Nobody may want it any more because of what it did.
      const goesOn = this.#line.delete(job) && visits > 0;
      if (goesOn) this.#line.add(job);
      left -= Math.max(visits, 1);
    }
    if (this.#line.size > 0) this.#turn ??= setImmediate(() => this.#run());
  }
}

/** Does one step. @returns its visits, one at the least; zero: there are no more steps */
function step(job: SlicedJob): number {
  try {
    const { done, value } = job.steps.next();
    return done ? 0 : Math.max(1, value);
  } catch (error) {
    job.onFault(error);
    return 0;
  }
}
