/**
 * What happened while a feed of the present had no watch on etcd. It comes as a backlog, with many revisions in a response;
 * the feed's watchers get it as they would have got it meanwhile, each revision by itself. Whatever comes later reaches
 * them as etcd sends it, also where that is many revisions: a member that was restored from a snapshot catches up so.
 */
import type { WatchResponse } from '../etcd/watch-response.ts';
import type { Batch } from './batch.ts';
import { batchesInSlices, batchesOf } from './batch-draft.ts';
import type { Steps } from './slices.ts';

/** While etcd catches up, a response has as many revisions; one with fewer is the last of those. */
const CATCH_UP_REVISIONS = 1000;

export class FeedGap {
  #open = false;
  /** Revisions of the present response that have come already. */
  #before = 0;

  /** A watch begins behind what was applied, on a member at this revision. */
  onBegan(revision: number, applied: number): void {
    this.#open = revision > applied;
    this.#before = 0;
  }

  /** The batches of a response, as watchers are to get them. */
  batches(response: WatchResponse, applied: number): Batch[] {
    const batches = batchesOf(response.header, response.events, applied, this.#open);
    this.#had(batches.length, response);
    return batches;
  }

  /** The same in slices. */
  *inSlices(response: WatchResponse, applied: number): Steps<Batch[]> {
    const { header, events } = response;
    const batches = yield* batchesInSlices({ header, events, applied, apart: this.#open });
    this.#had(batches.length, response);
    return batches;
  }

  #had(count: number, { fragment }: WatchResponse): void {
    this.#before += count;
    if (fragment) return;
    if (this.#before < CATCH_UP_REVISIONS) this.#open = false;
    this.#before = 0;
  }
}
