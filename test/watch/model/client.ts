/** A client with a stream of watches, which comes back when the stream breaks, as etcd's clients do. */
import type { RawGrpcClient } from '../../support/raw-grpc.ts';
import { WatchCall } from '../../support/watch-client.ts';
import { Observed, type Wish } from './observed.ts';

export class WatchingClient {
  readonly watches: Observed[] = [];
  /** Why the stream ended for good, where it should not have. */
  failure: string | undefined;
  readonly #grpc: RawGrpcClient;
  readonly #byId = new Map<bigint, Observed>();
  #call: WatchCall;
  #nextId = 1n;
  #halfClosed = false;
  #closed = false;
  #changed: () => void;
  /** The highest revision that an answer to a ProgressRequest named. */
  #progress = 0;

  constructor(grpc: RawGrpcClient, changed: () => void) {
    this.#grpc = grpc;
    this.#changed = changed;
    this.#call = this.#open();
  }

  watch(wish: Wish): void {
    if (this.#halfClosed || this.#closed) return;
    const watch = new Observed(wish);
    this.watches.push(watch);
    this.#create(watch);
  }

  /** Cancels the watch of an index, if it goes on. */
  cancel(index: number): void {
    const live = [...this.#byId].filter(([, watch]) => watch.live);
    const [id] = live[index % Math.max(1, live.length)] ?? [];
    if (id !== undefined && !this.#halfClosed) this.#call.cancel(id);
  }

  progress(): void {
    if (!this.#halfClosed) this.#call.progress();
  }

  /**
   * Whether the stream has been told progress up to a revision; asks for it where it has not. A stream that etcd
   * would not tell either (no watch, one that a compaction ended, one that starts later) counts as told.
   */
  told(revision: number): boolean {
    const watches = [...this.#byId.values()].filter((watch) => !watch.cancelled);
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
    this.#resumeAll();
  }

  close(): void {
    this.#closed = true;
    this.#call.close();
  }

  #open(): WatchCall {
    const call = new WatchCall(this.#grpc);
    this.#halfClosed = false;
    void this.#read(call);
    return call;
  }

  #create(watch: Observed): void {
    const id = this.#nextId++;
    this.#byId.set(id, watch);
    this.#call.create(watch.request(id));
  }

  #resumeAll(): void {
    const live = [...this.#byId.values()].filter((watch) => watch.live);
    this.#byId.clear();
    for (const watch of live) this.#create(watch);
  }

  #told(revision: number): void {
    this.#progress = Math.max(this.#progress, revision);
    for (const watch of this.#byId.values()) watch.progress(revision);
  }

  async #read(call: WatchCall): Promise<void> {
    for (;;) {
      const response = await call.next(600_000);
      if (response === undefined || call !== this.#call || this.#closed) break;
      if (response.watchId === -1n && !response.canceled) this.#told(Number(response.header?.revision));
      else if (response.canceled && response.created) this.failure ??= `refused: ${response.cancelReason}`;
      else this.#byId.get(response.watchId)?.take(response);
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
