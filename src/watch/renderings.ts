/**
 * What of a huge batch is for watchers, looked up and encoded in slices, once for all of an audience that want it at that time. Such
 * a watcher waits, and lags no more than that: its client's stream sends nothing else meanwhile, so that of its
 * watchers one at a time waits, and nothing is made for a client that does not read.
 */

import type { Audience } from './audience.ts';
import type { Batch } from './batch.ts';
import type { Selection } from './selection.ts';
import type { SlicedJob, Slices, Steps } from './slices.ts';
import type { WatchStats } from './stats.ts';
import { FAULT } from './terminal.ts';
import type { Watcher } from './watcher.ts';

/** Who has the watchers. */
export interface RenderingsOwner {
  /** A watcher waits no longer: it goes on. */
  pump(watcher: Watcher): void;
  /** None waits any more. */
  onMade(): void;
}

/** What all of them share. */
export interface RenderingsBounds {
  readonly slices: Slices;
  readonly stats: WatchStats;
}

export class Renderings {
  readonly #owner: RenderingsOwner;
  readonly #bounds: RenderingsBounds;
  /** What each watcher waits for. */
  #of: Map<Watcher, Rendering> | undefined;
  /** Those that all watchers of an audience may have. */
  #shared: Map<Audience<Watcher>, Rendering> | undefined;

  constructor(owner: RenderingsOwner, bounds: RenderingsBounds) {
    this.#owner = owner;
    this.#bounds = bounds;
  }

  /** How many watchers wait. */
  get size(): number {
    return this.#of?.size ?? 0;
  }

  has(watcher: Watcher): boolean {
    return this.#of?.has(watcher) === true;
  }

  /**
   * Has a watcher, which is behind and whose client takes more, wait for what of a batch is for it.
   * @param chosen the events for its audience, where they are known
   */
  wait(watcher: Watcher, batch: Batch, chosen?: Selection): void {
    const rendering = watcher.takes(batch)
      ? this.#sharedOf(watcher, batch, chosen)
      : this.#begin(watcher, batch);
    rendering.watchers.add(watcher);
    this.#of ??= new Map();
    this.#of.set(watcher, rendering);
    watcher.sink.output.onMaking();
  }

  /** The watcher leaves its feed. */
  leave(watcher: Watcher): void {
    const rendering = this.#of?.get(watcher);
    if (rendering === undefined) return;
    this.#release(watcher, rendering);
    if (rendering.watchers.size > 0) return;
    this.#bounds.slices.cancel(rendering);
    this.#forget(rendering);
  }

  #sharedOf(watcher: Watcher, batch: Batch, chosen: Selection | undefined): Rendering {
    const audience = watcher.audience as Audience<Watcher>;
    this.#shared ??= new Map();
    const found = this.#shared.get(audience);
    if (found?.batch === batch) return found;
    const rendering = this.#begin(watcher, batch, chosen);
    this.#shared.set(audience, rendering);
    return rendering;
  }

  #begin(watcher: Watcher, batch: Batch, chosen?: Selection): Rendering {
    const onMade = (made: Rendering): void => this.#onMade(made);
    const onFault = (made: Rendering, error: unknown): void => this.#onFault(made, error);
    const rendering = new Rendering(watcher, batch, chosen, { onMade, onFault });
    this.#bounds.slices.add(rendering);
    return rendering;
  }

  #onMade(rendering: Rendering): void {
    this.#forget(rendering);
    let deliveries = 0;
    for (const watcher of [...rendering.watchers]) {
      // The stream of another one may have ended, and this one's with it.
      if (this.#of?.get(watcher) !== rendering) continue;
      this.#release(watcher, rendering);
      try {
        if (!watcher.sink.blocked && rendering.send(watcher)) deliveries++;
        if (watcher.feed !== undefined) this.#owner.pump(watcher);
      } catch (error) {
        watcher.sink.onFault(error);
      }
    }
    this.#bounds.stats.countDelivered(deliveries);
    if (this.size === 0) this.#owner.onMade();
  }

  /** One of those that wait reports it; the streams of all of them end. */
  #onFault(rendering: Rendering, error: unknown): void {
    this.#forget(rendering);
    const [first, ...others] = rendering.watchers;
    first?.sink.onFault(error);
    for (const { sink } of others) sink.fail(FAULT.code, FAULT.message);
  }

  #release(watcher: Watcher, rendering: Rendering): void {
    this.#of?.delete(watcher);
    rendering.watchers.delete(watcher);
    watcher.sink.output.onMade();
  }

  #forget(rendering: Rendering): void {
    if (this.#shared?.get(rendering.audience) === rendering) this.#shared.delete(rendering.audience);
  }
}

interface RenderingOwner {
  onMade(rendering: Rendering): void;
  onFault(rendering: Rendering, error: unknown): void;
}

/** One response in the making. */
class Rendering implements SlicedJob {
  readonly batch: Batch;
  readonly audience: Audience<Watcher>;
  readonly steps: Steps;
  /** Those that wait for it. */
  readonly watchers = new Set<Watcher>();
  readonly #owner: RenderingOwner;
  /** Where it is for one watcher alone: that. */
  readonly #alone: Watcher | undefined;
  /** Header and events; nothing where there is no event for them. */
  #tail: Buffer | undefined;

  constructor(watcher: Watcher, batch: Batch, chosen: Selection | undefined, owner: RenderingOwner) {
    this.batch = batch;
    this.audience = watcher.audience as Audience<Watcher>;
    this.#alone = watcher.takes(batch) ? undefined : watcher;
    this.#owner = owner;
    this.steps = this.#make(chosen);
  }

  onFault(error: unknown): void {
    this.#owner.onFault(this, error);
  }

  /** Sends it to one of those that wait. @returns whether there was anything for it */
  send(watcher: Watcher): boolean {
    const tail = this.#tail;
    if (tail === undefined) watcher.pass(this.batch);
    else if (this.#alone !== undefined) watcher.sendOwn(this.batch, tail);
    else watcher.sendShared(this.batch, tail);
    return tail !== undefined;
  }

  *#make(chosen: Selection | undefined): Steps {
    const { batch, audience } = this;
    const alone = this.#alone;
    const selection = chosen ?? (yield* audience.selecting(batch, alone?.next ?? batch.first));
    if (selection.count > 0)
      this.#tail =
        alone === undefined
          ? yield* selection.tailInSlices(batch)
          : yield* selection.encoding(alone.headOf(batch));
    this.#owner.onMade(this);
  }
}
