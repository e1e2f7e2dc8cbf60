/**
 * What happened while a feed of the present had no watch on etcd. It comes as a backlog, with many revisions in a response;
 * the feed's watchers get it as they would have got it meanwhile, each revision by itself. Whatever comes later reaches
 * them as etcd sends it, also where that is many revisions: a member that was restored from a snapshot catches up so.
 */
import type { WatchResponse } from '../etcd/watch-response.ts';
import { type Batch, batchesOf } from './batch.ts';

/** While etcd catches up, a response has as many revisions; one with fewer is the last of those. */
const CATCH_UP_REVISIONS = 1000;

export class Gap {
  #open = false;
  /** Revisions of the present response that have come already. */
  #before = 0;

  /** A watch begins behind what was applied, on a member at this revision. */
  onBegan(revision: number, applied: number): void {
    this.#open = revision > applied;
    this.#before = 0;
  }

  /** The batches of a response, as watchers are to get them. */
  batches({ header, events, fragment }: WatchResponse, applied: number): Batch[] {
    const batches = batchesOf(header, events, applied, this.#open);
    this.#before += batches.length;
    if (fragment) return batches;
    if (this.#before < CATCH_UP_REVISIONS) this.#open = false;
    this.#before = 0;
    return batches;
  }
}
