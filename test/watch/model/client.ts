/** A client with a stream of watches, which comes back when the stream breaks, as etcd's clients do. */
import type { WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import type { CallOptions, RawGrpcClient } from '../../support/raw-grpc.ts';
import { WatchCall } from '../../support/watch-client.ts';
import { Observed, type Wish } from './observed.ts';

/** The server counts from zero, so its numbers never meet these. */
const FIRST_ID = 1_000_000n;
/** The number of a watch that the server chose the number of, until it says which. */
const SERVER_CHOOSES = 0n;
/** The number in replies that are about no watch. */
const NO_WATCH = -1n;

const DUPLICATE = 'mvcc: duplicate watch ID provided on the WatchStream';

/** A create request that was not answered yet. */
interface Request {
  readonly id: bigint;
  /** Undefined: it is one that must be refused, because its number is taken. */
  readonly watch: Observed | undefined;
}

export class WatchingClient {
  readonly watches: Observed[] = [];
  /** What went wrong with a stream as a whole. */
  failure: string | undefined;
  readonly #grpc: RawGrpcClient;
  readonly #options: CallOptions;
  readonly #byId = new Map<bigint, Observed>();
  /** Creates in the order in which they must be answered. */
  #requests: Request[] = [];
  #call: WatchCall;
  #nextId = FIRST_ID;
  #halfClosed = false;
  #closed = false;
  #changed: () => void;
  /** The highest revision that an answer to a ProgressRequest named. */
  #progress = 0;

  /** @param options with what metadata it opens its streams */
  constructor(grpc: RawGrpcClient, changed: () => void, options: CallOptions) {
    this.#grpc = grpc;
    this.#options = options;
    this.#changed = changed;
    this.#call = this.#open();
  }

  watch(wish: Wish): void {
    if (this.#halfClosed || this.#closed) return;
    const watch = new Observed(wish);
    this.watches.push(watch);
    this.#create(watch);
  }

  /** Asks for a watch under a number that is taken, if there is one; zero asks for any number. */
  duplicate(index: number): void {
    const [id, watch] = this.#pick(index) ?? [];
    if (id === undefined || watch === undefined || id === SERVER_CHOOSES) return;
    this.#requests.push({ id, watch: undefined });
    this.#call.create(watch.request(id));
  }

  /** Cancels the watch of an index, if it goes on. */
  cancel(index: number): void {
    const [id, watch] = this.#pick(index) ?? [];
    if (id === undefined || watch === undefined) return;
    watch.cancelAsked = true;
    this.#call.cancel(id);
  }

  progress(): void {
    if (!this.#halfClosed) this.#call.progress();
  }

  /** Whether every create and every cancel of the present stream has been answered. */
  get answered(): boolean {
    return (
      this.#requests.length === 0 && this.watches.every((watch) => watch.cancelled || !watch.cancelAsked)
    );
  }

  /**
   * Whether the stream has been told progress up to a revision; asks for it where it has not. A stream that etcd
   * would not tell either (no watch, one that a compaction ended, one that starts later) counts as told.
   */
  told(revision: number): boolean {
    const watches = this.watches.filter((watch) => !watch.cancelled);
    if (this.#halfClosed || watches.length === 0 || this.#progress >= revision) return true;
    if (watches.some((watch) => !watch.live || watch.start === undefined || watch.start > revision))
      return true;
    this.#call.progress();
    return false;
  }

  halfClose(): void {
    if (this.#halfClosed) return;
    this.#halfClosed = true;
    this.#call.call.halfClose();
  }

  pause(): void {
    this.#call.call.pause();
  }

  resume(): void {
    this.#call.call.resume();
  }

  /** Drops the stream and goes on where each watch was. */
  reconnect(): void {
    if (this.#closed) return;
    const old = this.#call;
    this.#call = this.#open();
    old.close();
    this.#byId.clear();
    this.#requests = [];
    for (const watch of this.watches) if (watch.lost()) this.#create(watch);
  }

  close(): void {
    this.#closed = true;
    this.#call.close();
  }

  /** A watch that goes on, and that may still be spoken of. */
  #pick(index: number): readonly [id: bigint, watch: Observed] | undefined {
    if (this.#halfClosed) return undefined;
    const live = [...this.#byId].filter(([, watch]) => watch.live && !watch.cancelAsked);
    return live[index % Math.max(1, live.length)];
  }

  #open(): WatchCall {
    const call = new WatchCall(this.#grpc, this.#options);
    this.#halfClosed = false;
    void this.#read(call);
    return call;
  }

  #create(watch: Observed): void {
    const id = watch.wish.serverChooses ? SERVER_CHOOSES : this.#nextId++;
    this.#requests.push({ id, watch });
    this.#call.create(watch.request(id));
  }

  /** The answer to the create request that is first in line. */
  #created(response: WatchResponse): void {
    const request = this.#requests.shift();
    const { watchId, canceled, cancelReason } = response;
    if (request === undefined) this.failure ??= `created ${watchId}, which nobody asked for`;
    else if (request.watch === undefined) {
      if (watchId !== NO_WATCH || !canceled || cancelReason !== DUPLICATE)
        this.failure ??= `${request.id} is taken, but: ${watchId} ${canceled} ${cancelReason}`;
    } else if (canceled) this.failure ??= `refused: ${cancelReason}`;
    else if (request.id !== SERVER_CHOOSES && watchId !== request.id)
      this.failure ??= `created ${watchId} instead of ${request.id}`;
    else if (this.#byId.has(watchId)) this.failure ??= `the server chose ${watchId}, which is taken`;
    else {
      this.#byId.set(watchId, request.watch);
      request.watch.take(response);
    }
  }

  #take(response: WatchResponse): void {
    const { watchId, created, canceled } = response;
    if (created) this.#created(response);
    else if (watchId === NO_WATCH && !canceled) this.#told(Number(response.header?.revision));
    else {
      const watch = this.#byId.get(watchId);
      if (watch === undefined) this.failure ??= `a response for ${watchId}, which there is not`;
      watch?.take(response);
      // A number that a cancel has freed may be chosen again.
      if (watch?.cancelled) this.#byId.delete(watchId);
    }
  }

  #told(revision: number): void {
    this.#progress = Math.max(this.#progress, revision);
    for (const watch of this.#byId.values()) watch.progress(revision);
  }

  async #read(call: WatchCall): Promise<void> {
    for (;;) {
      const response = await call.next(600_000);
      if (response === undefined || call !== this.#call || this.#closed) break;
      this.#take(response);
      this.#changed();
    }
    if (call !== this.#call || this.#closed) return;
    const { code, message } = await call.end;
    if (code !== 14) this.failure ??= `ended with ${code} ${message}`;
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (call === this.#call && !this.#closed) this.reconnect();
    this.#changed();
  }
}
