/** One watch of a client and what it has seen, over as many streams as it takes; and what it should have seen. */

import type { WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import { WatchCreateRequest_FilterType as Filter } from '#gen/etcdserverpb/watch_pb.js';
import { b, type Create } from '../../support/watch-client.ts';
import { type Happening, happening, nameOf } from './history.ts';
import { type KeySpan, spans } from './key-span.ts';

/** What to watch. */
export interface Wish extends KeySpan {
  /** Zero: now. */
  readonly start: number;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly prevKv: boolean;
  readonly fragment: boolean;
  readonly progress: boolean;
  /** The server chooses its number. */
  readonly serverChooses: boolean;
}

/** Responses of all watches that came in fragments. */
let fragmented = 0;
export const fragmentedResponses = (): number => fragmented;

/** Where in the history a revision begins. */
function indexOf(history: readonly Happening[], revision: number): number {
  let [low, high] = [0, history.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((history[middle]?.revision ?? 0) < revision) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Observed {
  readonly wish: Wish;
  readonly seen: Happening[] = [];
  /** The first revision that counts; unknown until a watch from now on is created. */
  start: number | undefined;
  /** Set when a compaction ended it. */
  compacted: number | undefined;
  cancelled = false;
  /** Its client has asked for its end. */
  cancelAsked = false;
  /** A response for it that no server may send. */
  fault: string | undefined;
  #progress = 0;
  #header = 0;
  /** What it should have seen of as much of the history as has been looked at. */
  readonly #expected: Happening[] = [];
  #looked = 0;
  /** It exists on the present stream. */
  #created = false;
  /** Events of a response that goes on. */
  #parts: Happening[] = [];

  constructor(wish: Wish) {
    this.wish = wish;
    this.start = wish.start === 0 ? undefined : wish.start;
  }

  /** Whether it goes on. */
  get live(): boolean {
    return this.compacted === undefined && !this.cancelled;
  }

  /** Its stream is gone. @returns whether it goes on, on another one */
  lost(): boolean {
    this.#created = false;
    this.#parts = [];
    if (this.cancelAsked) this.cancelled = true;
    return this.live;
  }

  /** The request that creates it, or creates it again where it left off. */
  request(watchId: bigint): Create {
    const { wish } = this;
    const next = this.start === undefined ? 0 : Math.max(this.start, this.#next());
    return {
      watchId,
      key: b(wish.key),
      rangeEnd: b(wish.end),
      startRevision: BigInt(next),
      filters: [...(wish.noPut ? [Filter.NOPUT] : []), ...(wish.noDelete ? [Filter.NODELETE] : [])],
      prevKv: wish.prevKv,
      fragment: wish.fragment,
      progressNotify: wish.progress,
    };
  }

  /** Takes a response. */
  take(response: WatchResponse): void {
    const revision = Number(response.header?.revision);
    this.#expect(!this.cancelled, 'a response after its cancel');
    if (response.created) {
      this.start ??= revision + 1;
      this.#header = 0;
      this.#created = true;
    } else if (response.compactRevision > 0n) this.compacted = Number(response.compactRevision);
    else if (response.canceled) this.#cancelled();
    else if (response.fragment) this.#part(response);
    else if (response.events.length > 0) this.#whole(response, revision);
    else this.progress(revision);
    if (response.compactRevision === 0n) this.#expect(revision >= this.#header, 'the header goes back');
    this.#header = revision;
  }

  /** It was told that everything up to a revision has been sent. */
  progress(revision: number): void {
    if (this.#created) this.#progress = Math.max(this.#progress, revision);
  }

  /**
   * What is wrong with it; empty: nothing.
   * @param history what happened up to its end
   * @param compacted the highest revision that may be compacted
   * @param mayMiss whether etcd itself may leave out an event
   */
  problems(
    history: readonly Happening[],
    compacted: number,
    mayMiss: (event: Happening) => boolean,
  ): string[] {
    if (this.fault !== undefined) return [this.fault];
    if (this.live && !this.#created) return ['never created'];
    if (this.cancelAsked && !this.cancelled) return ['not cancelled'];
    const had = new Set(this.seen.map(nameOf));
    const expected = this.expected(history).filter((event) => had.has(nameOf(event)) || !mayMiss(event));
    for (const [i, event] of this.seen.entries()) {
      const want = expected[i];
      if (want === undefined) return [`more than happened: ${event.withPrev}`];
      const without = `${want.plain} after nothing`;
      const form = this.wish.prevKv ? want.withPrev : without;
      if (event.withPrev === form) continue;
      // What was there before, a revision earlier, may have been compacted when etcd looked.
      if (event.withPrev === without && event.revision - 1 <= compacted) continue;
      return [`event ${i} is ${event.withPrev} instead of ${form}`];
    }
    if (this.compacted !== undefined) {
      const next = this.#next();
      return next < this.compacted ? [] : [`compacted at ${this.compacted}, though it only needs ${next}`];
    }
    if (this.cancelled || this.seen.length === expected.length) return [];
    return [`${expected.length - this.seen.length} missing after ${this.seen.at(-1)?.plain ?? 'nothing'}`];
  }

  /** The first event that it should have seen and has not, if any. */
  missed(history: readonly Happening[]): Happening | undefined {
    const had = new Set(this.seen.map(nameOf));
    return this.live ? this.expected(history).find((event) => !had.has(nameOf(event))) : undefined;
  }

  /** Whether it has had as many events as happened. */
  complete(history: readonly Happening[]): boolean {
    return !this.live || this.fault !== undefined || this.seen.length >= this.expected(history).length;
  }

  /** What it should have seen; the history only grows. */
  expected(history: readonly Happening[]): readonly Happening[] {
    if (this.start === undefined) return [];
    if (this.#looked === 0) this.#looked = indexOf(history, this.start);
    for (; this.#looked < history.length; this.#looked++) {
      const event = history[this.#looked] as Happening;
      if (this.#wants(event, this.start)) this.#expected.push(event);
    }
    return this.#expected;
  }

  #wants({ revision, key, isDelete }: Happening, start: number): boolean {
    const { wish } = this;
    return revision >= start && !(isDelete ? wish.noDelete : wish.noPut) && spans(wish, key);
  }

  #next(): number {
    return Math.max(this.start ?? 0, (this.seen.at(-1)?.revision ?? 0) + 1);
  }

  #cancelled(): void {
    this.#expect(this.cancelAsked, 'cancelled, which nobody asked for');
    this.cancelled = true;
  }

  #part({ events }: WatchResponse): void {
    this.#expect(this.wish.fragment, 'a fragment, which it did not ask for');
    this.#expect(events.length > 0, 'a fragment without events');
    this.#parts.push(...events.map(happening));
  }

  #whole({ events }: WatchResponse, header: number): void {
    if (this.#parts.length > 0) fragmented++;
    const all = this.#parts.concat(events.map(happening));
    this.#parts = [];
    this.#events(all, header);
  }

  #events(events: readonly Happening[], header: number): void {
    const last = events.at(-1)?.revision ?? 0;
    this.#expect(header >= last, 'a header older than the events');
    this.#expect((events[0]?.revision ?? 0) > this.#progress, 'an event that progress had passed');
    this.#expect((events[0]?.revision ?? 0) >= this.#next(), 'a revision in two responses, or twice');
    this.seen.push(...events);
  }

  #expect(holds: boolean, otherwise: string): void {
    if (!holds) this.fault ??= otherwise;
  }
}
