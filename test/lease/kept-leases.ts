/**
 * Many clients, each with a stream and a lease of its own, in the rhythm of etcd's Go client: a heartbeat each third of its
 * time. They are on the proxy's own HTTP/2 engine, so that thousands cost little.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { LeaseKeepAliveResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import type { ClientCall, ClientCallListener, Ending } from '../../src/grpc/client-call.ts';
import type { Status } from '../../src/rpc/status.ts';
import { LoadConnection } from '../support/watch-load.ts';
import { beat, KEEP_ALIVE } from './beats.ts';

/** Leases that there are, or so many, each of which its client has granted to it when it begins. */
export type LeaseSource = readonly bigint[] | { readonly count: number; grant(): Promise<bigint> };

/** How the clients are. */
export interface KeptOptions {
  readonly ttlSeconds: number;
  /** Streams on one connection; 500 by default. */
  readonly perConnection?: number;
  /** Whether the clients begin one after the other, over a third of the time. */
  readonly spread?: boolean;
}

/** What all of them have counted. */
export class KeptLeases implements AsyncDisposable {
  answers = 0;
  /** Leases that are over, with the reason. */
  readonly lost = new Map<bigint, string>();
  /** How streams of clients ended. */
  readonly endings: Status[] = [];
  /** How long each answer took, in milliseconds. */
  readonly times: number[] = [];
  readonly #connections: LoadConnection[] = [];
  readonly #clients: KeptLease[] = [];
  #closed = false;

  private constructor() {}

  /** Opens the connections, and begins. */
  static async begin(address: string, leases: LeaseSource, options: KeptOptions): Promise<KeptLeases> {
    const { ttlSeconds, perConnection = 500, spread = false } = options;
    const all = new KeptLeases();
    const count = 'count' in leases ? leases.count : leases.length;
    const connections = Math.ceil(count / perConnection);
    for (let i = 0; i < connections; i++) all.#connections.push(await LoadConnection.open(address));
    const third = (ttlSeconds * 1000) / 3;
    for (let i = 0; i < count; i++) {
      const connection = all.#connections[Math.floor(i / perConnection)] as LoadConnection;
      const begin = (id: bigint): void => {
        if (!all.#closed) all.#clients.push(new KeptLease(all, connection, id, 3 * third));
      };
      const take = (): void => {
        if ('count' in leases)
          leases.grant().then(begin, (error) => all.lose(BigInt(-i), `not granted: ${error}`));
        else begin(leases[i] as bigint);
      };
      if (spread) setTimeout(take, (third * i) / count);
      else take();
    }
    return all;
  }

  lose(id: bigint, reason: string): void {
    if (!this.#closed && !this.lost.has(id)) this.lost.set(id, reason);
  }

  onEnded(status: Status): void {
    if (!this.#closed) this.endings.push(status);
  }

  /** The answer that took longer than so large a part of all, in milliseconds. */
  quantile(part: number): number {
    const sorted = this.times.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const client of this.#clients) client.close();
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }
}

/** One client. */
class KeptLease implements ClientCallListener {
  readonly #all: KeptLeases;
  readonly #id: bigint;
  readonly #ttlMs: number;
  readonly #request: Uint8Array;
  readonly #call: ClientCall;
  readonly #timer: NodeJS.Timeout;
  /** When the latest heartbeat was sent, in milliseconds of `performance.now()`. */
  #asked = 0;
  /** When the lease ends unless there is an answer. */
  #until: number;

  constructor(all: KeptLeases, connection: LoadConnection, id: bigint, ttlMs: number) {
    this.#all = all;
    this.#id = id;
    this.#ttlMs = ttlMs;
    this.#request = beat(id);
    this.#call = connection.call(this, KEEP_ALIVE);
    this.#until = performance.now() + ttlMs;
    this.#timer = setInterval(() => this.#beat(), ttlMs / 3);
    this.#beat();
  }

  #beat(): void {
    const now = performance.now();
    // This process may have stood still itself: then there are answers that it has not read yet.
    if (now > this.#until) setImmediate(() => this.#look(now));
    this.#asked = now;
    this.#call.send(this.#request, false);
  }

  #look(now: number): void {
    if (now > this.#until)
      this.#all.lose(this.#id, `no answer since ${Math.round(now - this.#until + this.#ttlMs)} ms`);
  }

  onHeaders(): void {}

  onMessage(message: Uint8Array): void {
    const { TTL } = fromBinary(LeaseKeepAliveResponseSchema, message);
    const now = performance.now();
    this.#all.answers++;
    this.#all.times.push(now - this.#asked);
    if (TTL > 0n) this.#until = now + this.#ttlMs;
    else this.#all.lose(this.#id, 'over in etcd');
  }

  onDrain(): void {}

  onEnding({ status }: Ending): void {
    clearInterval(this.#timer);
    this.#all.onEnded(status);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#call.cancel();
  }
}
