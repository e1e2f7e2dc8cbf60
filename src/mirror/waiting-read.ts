/** A read that a mirror cannot answer at once: it waits for etcd's revision, or for the mirror to come that far. */

import type { Asker, ProbeResult } from '../clients/probe.ts';
import type { Store } from '../mvcc/store.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import { RpcError } from '../rpc/status.ts';
import type { Arrival } from './arrivals.ts';
import type { Mirror } from './mirror.ts';
import type { MirrorQuery } from './reply-maker.ts';
import type { FallBack } from './stats.ts';
import { WaitingLine } from './waiting-line.ts';

/** Decides what becomes of reads. */
export interface WaitingReadOwner {
  /** Answers a read, for which the mirror knows enough now. @throws never */
  answer(read: WaitingRead): void;
  /** Leaves a read to etcd. */
  fallBack(read: WaitingRead, reason: FallBack): void;
  /** etcd has answered the read's probe. */
  onProbed(read: WaitingRead, result: ProbeResult): void;
}

export class WaitingRead implements Cancellable, Arrival, Asker {
  readonly mirror: Mirror;
  readonly query: MirrorQuery;
  readonly request: Uint8Array;
  readonly call: Call;
  readonly resolve: (reply: Uint8Array | Promise<Uint8Array>) => void;
  /** What the mirror knew when the read came, and up to where. */
  readonly store: Store | undefined;
  readonly applied: number;
  readonly askedStart: number;
  /** When it came, in milliseconds of `performance.now()`; whatever is asked for it is asked later. */
  readonly since = performance.now();
  /** The revision at which etcd let the client read. What has changed after it may not be for this client. */
  permitted = Number.POSITIVE_INFINITY;
  readonly #reject: (error: RpcError) => void;
  readonly #reads: WaitingReads;

  constructor(
    reads: WaitingReads,
    mirror: Mirror,
    query: MirrorQuery,
    request: Uint8Array,
    call: Call,
    resolve: (reply: Uint8Array | Promise<Uint8Array>) => void,
    reject: (error: RpcError) => void,
  ) {
    this.#reads = reads;
    this.mirror = mirror;
    this.query = query;
    this.askedStart = query.revision;
    this.request = request;
    this.call = call;
    this.resolve = resolve;
    this.#reject = reject;
    this.store = mirror.store;
    this.applied = mirror.store?.applied ?? 0;
    call.work = this;
  }

  onProbed(result: ProbeResult): void {
    this.#reads.onProbed(this, result);
  }

  onArrived(): void {
    this.#reads.answer(this);
  }

  onFailed(reason: FallBack): void {
    this.#reads.fallBack(this, reason);
  }

  cancel(): void {
    if (!this.#reads.finish(this)) return;
    this.#reject(RpcError.cancelled());
  }
}

/** All reads that wait. */
export class WaitingReads {
  readonly #owner: WaitingReadOwner;
  readonly #waiting: WaitingLine<WaitingRead>;

  /** @param waitMs how long a read waits at most, in milliseconds */
  constructor(owner: WaitingReadOwner, waitMs: number) {
    this.#owner = owner;
    this.#waiting = new WaitingLine(waitMs, (read) => {
      leave(read);
      owner.fallBack(read, 'timeout');
    });
  }

  /** Lets a read wait. `begin` is called at once with it. */
  add(
    mirror: Mirror,
    query: MirrorQuery,
    request: Uint8Array,
    call: Call,
    begin: (read: WaitingRead) => void,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const read = new WaitingRead(this, mirror, query, request, call, resolve, reject);
      this.#waiting.add(read);
      begin(read);
    });
  }

  onProbed(read: WaitingRead, result: ProbeResult): void {
    if (this.#waiting.has(read)) this.#owner.onProbed(read, result);
  }

  answer(read: WaitingRead): void {
    if (this.finish(read)) this.#owner.answer(read);
  }

  fallBack(read: WaitingRead, reason: FallBack): void {
    if (this.finish(read)) this.#owner.fallBack(read, reason);
  }

  /** The read waits no longer; `false` if it did not. */
  finish(read: WaitingRead): boolean {
    if (!this.#waiting.delete(read)) return false;
    leave(read);
    return true;
  }
}

/** A read that waits no longer is forgotten by what would have ended its wait. */
function leave(read: WaitingRead): void {
  read.call.work = undefined;
  read.mirror.arrivals.leave(read);
}
