/**
 * The responses that etcd has brought to a feed and that the feed has not taken, in their order: one that is huge is taken in
 * slices, and what comes meanwhile waits behind it. All others are taken as they come.
 */

import type { WatchResponse } from '../etcd/watch-response.ts';
import type { HeldBytes } from './held-bytes.ts';
import { isHuge, type SlicedJob, type Slices, type Steps, visitsOf } from './slices.ts';

/** What one event of a response that waits costs beside its bytes. */
const EVENT_BYTES = 120;

/** Who takes them. */
export interface InboxOwner {
  /** Everything up to here has been seen. */
  readonly applied: number;
  readonly intake: {
    take(response: WatchResponse): void;
    inSlices(response: WatchResponse): Steps;
  };
  /** A response could not be taken. */
  onFault(error: unknown): void;
}

/** What all inboxes share. */
export interface InboxBounds {
  readonly slices: Slices;
  readonly waiting: HeldBytes;
}

/** A response that waits, and what is counted of it. */
interface Waiting {
  readonly response: WatchResponse;
  readonly bytes: number;
}

/** Nothing has come yet. One for all, since it has nothing to go on with. */
const NO_STEPS: Steps = (function* (): Steps {})();

export class Inbox implements SlicedJob {
  steps = NO_STEPS;
  readonly #owner: InboxOwner;
  readonly #bounds: InboxBounds;
  readonly #waiting: Waiting[] = [];
  #busy = false;
  #received = 0;

  constructor(owner: InboxOwner, bounds: InboxBounds) {
    this.#owner = owner;
    this.#bounds = bounds;
  }

  /** Everything up to here has come, whether or not it was taken. */
  get received(): number {
    const { applied } = this.#owner;
    return this.#busy ? Math.max(applied, this.#received) : applied;
  }

  /** Takes a response, now or when it is its turn. */
  take(response: WatchResponse): void {
    const { events, size } = response;
    if (!this.#busy && !isHuge(events.length, size)) this.#owner.intake.take(response);
    else {
      const bytes = this.#busy ? size + events.length * EVENT_BYTES : 0;
      const hasRoom = this.#bounds.waiting.take(bytes);
      this.#waiting.push({ response, bytes: hasRoom ? bytes : 0 });
      this.#received = Math.max(this.#received, events.at(-1)?.revision ?? 0);
      if (!this.#busy) this.#begin();
      else if (!hasRoom) this.finish();
    }
  }

  /** Takes all that waits now: what comes next is no response, and does not wait. */
  finish(): void {
    this.#bounds.slices.finish(this);
  }

  /** Nothing of it is wanted any more. */
  close(): void {
    this.#bounds.slices.cancel(this);
    this.#busy = false;
    for (const { bytes } of this.#waiting.splice(0)) this.#bounds.waiting.release(bytes);
  }

  onFault(error: unknown): void {
    this.close();
    this.#owner.onFault(error);
  }

  #begin(): void {
    this.#busy = true;
    this.steps = this.#work();
    this.#bounds.slices.add(this);
  }

  *#work(): Steps {
    const { intake } = this.#owner;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { response, bytes } = next;
      const { events, size } = response;
      this.#bounds.waiting.release(bytes);
      if (isHuge(events.length, size)) yield* intake.inSlices(response);
      else {
        intake.take(response);
        yield visitsOf(events.length, size);
      }
    }
    this.#busy = false;
    this.#received = 0;
  }
}
