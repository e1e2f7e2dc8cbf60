/**
 * Reads that take long to work out: each starts when its client's connection has room for the reply, one after the other,
 * clients in turn, a slice in each round of the event loop. While it waits, a read costs no more than its request.
 *
 *     line ──first, room──▶ working ──slice──▶ event loop ──slice──▶ ... ──▶ reply
 *       ▲          └─no room─▶ waits at its connection ─┐
 *       └───────────────────────────────────────────────┘
 */

import type { NoAnswer } from '../mvcc/range-reply.ts';
import { type Interruptible, SLICE_VISITS, Work } from '../mvcc/work.ts';
import type { Client } from '../rpc/client.ts';
import { ClientTurns } from '../rpc/client-turns.ts';
import type { Call, Cancellable, RoomWaiter } from '../rpc/contract.ts';
import { RpcError } from '../rpc/status.ts';
import type { FallBack } from './stats.ts';

/** Reads in line or at their connections; one more is left to etcd. */
export const MAX_LONG_READS = 10_000;

/** What is worked out. */
export interface LongWork {
  readonly call: Call;
  /** Begins, with what is known now; or says why it cannot. */
  begin(work: Work): Interruptible<Uint8Array | NoAnswer> | FallBack;
  /** Whether what it began with still counts. */
  isCurrent(): boolean;
  /** Where it is left to etcd. */
  fallBack(reason: FallBack): Uint8Array | Promise<Uint8Array>;
  /** The reply was made. */
  onMade(reply: Uint8Array): void;
}

class LongRead implements Cancellable, RoomWaiter {
  readonly work: LongWork;
  readonly client: Client;
  readonly reject: (error: unknown) => void;
  readonly #resolve: (reply: Uint8Array | Promise<Uint8Array>) => void;
  readonly #line: LongReads;

  constructor(
    line: LongReads,
    work: LongWork,
    resolve: (reply: Uint8Array | Promise<Uint8Array>) => void,
    reject: (error: unknown) => void,
  ) {
    this.#line = line;
    this.work = work;
    this.client = work.call.client;
    this.#resolve = resolve;
    this.reject = reject;
    work.call.work = this;
  }

  onRoom(): void {
    this.#line.enter(this);
  }

  cancel(): void {
    this.work.call.outlet.leave(this);
    this.#line.remove(this);
    this.reject(RpcError.cancelled());
  }

  /** It is over, with a reply or without one. */
  end(result: Uint8Array | FallBack): void {
    const { work } = this;
    work.call.work = undefined;
    if (typeof result === 'string') {
      this.#resolve(work.fallBack(result));
      return;
    }
    work.onMade(result);
    this.#resolve(result);
  }
}

export class LongReads {
  /** Those that may begin. */
  readonly #line = new ClientTurns<LongRead>();
  /** All of them, also those that wait at their connections. */
  readonly #all = new Set<LongRead>();
  #working: LongRead | undefined;
  #steps: Interruptible<Uint8Array | NoAnswer> | undefined;
  #work = new Work();
  #awake = false;

  /** Reads that are not answered yet. */
  get size(): number {
    return this.#all.size;
  }

  /** Takes a read. */
  add(work: LongWork): Uint8Array | Promise<Uint8Array> {
    if (this.#all.size >= MAX_LONG_READS) return work.fallBack('line');
    return new Promise((resolve, reject) => {
      const read = new LongRead(this, work, resolve, reject);
      this.#all.add(read);
      this.enter(read);
    });
  }

  /** To the end of what its client has in line. */
  enter(read: LongRead): void {
    if (!this.#all.has(read)) return;
    this.#line.add(read.client, read);
    if (this.#awake) return;
    this.#awake = true;
    setImmediate(this.#round);
  }

  /** It is wanted no more. */
  remove(read: LongRead): void {
    this.#line.delete(read.client, read);
    this.#all.delete(read);
    if (this.#working === read) this.#working = undefined;
  }

  /** A slice of work, which may be of many reads. */
  readonly #round = (): void => {
    for (let left = SLICE_VISITS; left > 0; left--) {
      this.#working ??= this.#next();
      const read = this.#working;
      if (read === undefined) break;
      const before = this.#work.visits;
      this.#try(read, () => this.#slice());
      left -= this.#work.visits - before;
    }
    this.#awake = this.#working !== undefined || !this.#line.isEmpty;
    if (this.#awake) setImmediate(this.#round);
  };

  /** The first in line that has room begins. */
  #next(): LongRead | undefined {
    for (let read = this.#line.shift(); read !== undefined; read = this.#line.shift()) {
      const { outlet } = read.work.call;
      if (!outlet.room) {
        outlet.wait(read);
        continue;
      }
      const first = read;
      const over = this.#try(first, () => this.#begin(first));
      if (!over) return first;
    }
    return undefined;
  }

  /** Does something for a read, and ends it with what comes of that. @returns whether it is over */
  #try(read: LongRead, work: () => Uint8Array | FallBack | undefined): boolean {
    try {
      const result = work();
      if (result === undefined) return false;
      this.remove(read);
      read.end(result);
    } catch (error) {
      this.remove(read);
      read.reject(error);
    }
    return true;
  }

  #begin({ work }: LongRead): FallBack | undefined {
    this.#work = new Work();
    const steps = work.begin(this.#work);
    if (typeof steps === 'string') return steps;
    this.#steps = steps;
    return undefined;
  }

  #slice(): Uint8Array | FallBack | undefined {
    const steps = this.#steps as Interruptible<Uint8Array | NoAnswer>;
    this.#work.next();
    while (!this.#work.due) {
      const { done, value } = steps.next();
      if (done) return value;
      if (this.#working?.work.isCurrent() === false) return 'loading';
    }
    return undefined;
  }
}
