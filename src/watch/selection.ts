/**
 * Events of one batch or of several that go out as one response. They are named one by one and copied once, neighbours
 * together: what there is beside the response grows with the gaps between them, not with their number.
 */

import { eventHeadLength, writeEventHead } from '../etcd/watch-reply.ts';
import type { Batch, BatchEvent } from './batch.ts';
import { endOfStep, STEP_VISITS, type Steps, visitsOf } from './slices.ts';

/** Neighbours in a batch, by their positions there. */
interface Run {
  readonly batch: Batch;
  readonly from: number;
  to: number;
}

export class Selection {
  /** How many events there are. */
  count = 0;
  /** The bytes of their fields. */
  bytes = 0;
  readonly #stripPrev: boolean;
  readonly #runs: Run[] = [];
  #last: Run | undefined;
  #tail: Buffer | undefined;

  /** @param stripPrev whether `prev_kv` is left out */
  constructor(stripPrev: boolean) {
    this.#stripPrev = stripPrev;
  }

  /** Adds the event at a position of a batch. */
  add(batch: Batch, at: number): void {
    const last = this.#last;
    if (last !== undefined && last.to === at && last.batch === batch) last.to++;
    else {
      this.#last = { batch, from: at, to: at + 1 };
      this.#runs.push(this.#last);
    }
    const event = batch.events[at] as BatchEvent;
    this.count++;
    this.bytes += this.#strips(event) ? strippedLength(batch, event) : event.end - event.start;
  }

  /** Header and events, where all events are of one batch: for whoever shares them, encoded once. */
  tailOf(batch: Batch): Buffer {
    this.#tail ??= this.#isWhole(batch) ? batch.bytes : this.encode(batch.head);
    return this.#tail;
  }

  /** The events behind a beginning of some bytes, in a buffer of its own: queues keep it by reference. */
  encode(head: Uint8Array): Buffer {
    const target = this.#targetFor(head);
    let at = head.length;
    for (const { batch, from, to } of this.#runs) at = this.#copy(batch, from, to, target, at);
    return target;
  }

  /** The same in slices. */
  *encoding(head: Uint8Array): Steps<Buffer> {
    const target = this.#targetFor(head);
    let at = head.length;
    let visits = 0;
    for (const { batch, from, to } of this.#runs)
      for (let first = from; first < to; ) {
        const last = endOfStep(batch.events, first, to);
        const before = at;
        at = this.#copy(batch, first, last, target, at);
        visits += visitsOf(last - first, at - before);
        first = last;
        if (visits < STEP_VISITS) continue;
        yield visits;
        visits = 0;
      }
    return target;
  }

  /** {@link tailOf} in slices. */
  *tailInSlices(batch: Batch): Steps<Buffer> {
    this.#tail ??= this.#isWhole(batch) ? batch.bytes : yield* this.encoding(batch.head);
    return this.#tail;
  }

  #targetFor(head: Uint8Array): Buffer {
    const target = Buffer.allocUnsafeSlow(head.length + this.bytes);
    target.set(head, 0);
    return target;
  }

  #isWhole(batch: Batch): boolean {
    return this.count === batch.events.length && this.bytes === batch.bytes.length - batch.headLength;
  }

  #strips({ prevStart, prevEnd }: BatchEvent): boolean {
    return this.#stripPrev && prevStart !== prevEnd;
  }

  /** Copies neighbours. @returns where they end */
  #copy(batch: Batch, from: number, to: number, target: Buffer, start: number): number {
    if (!this.#stripPrev) return copyAll(batch, from, to, target, start);
    let at = start;
    for (let i = from; i < to; i++) {
      const event = batch.events[i] as BatchEvent;
      if (this.#strips(event)) at = copyStripped(batch, event, target, at);
      else at += batch.bytes.copy(target, at, event.start, event.end);
    }
    return at;
  }
}

function copyAll(batch: Batch, from: number, to: number, target: Buffer, at: number): number {
  const { start } = batch.events[from] as BatchEvent;
  const { end } = batch.events[to - 1] as BatchEvent;
  return at + batch.bytes.copy(target, at, start, end);
}

/** The length of an event's body without `prev_kv`. */
function strippedBody({ bytes }: Batch, { start, end, prevStart, prevEnd }: BatchEvent): number {
  return end - bodyOf(bytes, start) - (prevEnd - prevStart);
}

function strippedLength(batch: Batch, event: BatchEvent): number {
  const body = strippedBody(batch, event);
  return eventHeadLength(body) + body;
}

function copyStripped(batch: Batch, event: BatchEvent, target: Buffer, start: number): number {
  const { bytes } = batch;
  let at = writeEventHead(target, start, strippedBody(batch, event));
  at += bytes.copy(target, at, bodyOf(bytes, event.start), event.prevStart);
  return at + bytes.copy(target, at, event.prevEnd, event.end);
}

/** Where the body of a field with a one-byte tag starts. */
function bodyOf(bytes: Buffer, start: number): number {
  let at = start + 1;
  while ((bytes[at] as number) >= 0x80) at++;
  return at + 1;
}
