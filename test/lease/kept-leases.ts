/** Many clients, each with a stream and a lease of its own, in the rhythm of etcd's Go client: a heartbeat each third of its time. */
import { fromBinary } from '@bufbuild/protobuf';
import { LeaseKeepAliveResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import { type GrpcEnd, type RawCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { beat, KEEP_ALIVE } from './beats.ts';

/** Streams of clients on one connection. */
const PER_CONNECTION = 500;

const FOREVER_MS = 2 ** 31 - 1;

/** A lease and its client. */
interface Kept {
  readonly id: bigint;
  readonly call: RawCall;
  readonly timer: NodeJS.Timeout;
  /** When the heartbeat was sent that has no answer, in milliseconds of `performance.now()`. */
  asked: number;
  /** When it ends unless there is an answer. */
  until: number;
}

export class KeptLeases implements AsyncDisposable {
  answers = 0;
  /** Leases that are over, with the reason. */
  readonly lost = new Map<bigint, string>();
  /** How streams of clients ended. */
  readonly endings: GrpcEnd[] = [];
  /** How long each answer took, in milliseconds. */
  readonly times: number[] = [];
  readonly #clients: RawGrpcClient[] = [];
  readonly #kept: Kept[] = [];
  readonly #ttlMs: number;
  #closed = false;

  /** @param spread whether the clients begin at times of their own, over a third of the time */
  constructor(address: string, ttlSeconds: number, ids: readonly bigint[], spread = false) {
    this.#ttlMs = ttlSeconds * 1000;
    for (const [i, id] of ids.entries()) {
      if (i % PER_CONNECTION === 0) this.#clients.push(new RawGrpcClient(address));
      const client = this.#clients.at(-1) as RawGrpcClient;
      const begin = () => this.#begin(client, id);
      if (spread) setTimeout(begin, ((this.#ttlMs / 3) * i) / ids.length);
      else begin();
    }
  }

  #begin(client: RawGrpcClient, id: bigint): void {
    if (this.#closed) return;
    const call = client.open(KEEP_ALIVE);
    const now = performance.now();
    const timer = setInterval(() => this.#beat(kept), this.#ttlMs / 3);
    const kept: Kept = { id, call, timer, asked: now, until: now + this.#ttlMs };
    this.#kept.push(kept);
    this.#beat(kept);
    void this.#follow(kept);
    void call.end.then((end) => {
      if (!this.#closed) this.endings.push(end);
    });
  }

  #beat(kept: Kept): void {
    const now = performance.now();
    if (now > kept.until) this.#lose(kept.id, `no answer since ${Math.round(now - kept.asked)} ms`);
    kept.asked = now;
    kept.call.send(beat(kept.id));
  }

  async #follow(kept: Kept): Promise<void> {
    for (;;) {
      const message = await kept.call.next(FOREVER_MS);
      if (message === undefined) return;
      const { TTL } = fromBinary(LeaseKeepAliveResponseSchema, message);
      const now = performance.now();
      this.answers++;
      this.times.push(now - kept.asked);
      if (TTL > 0n) kept.until = now + this.#ttlMs;
      else this.#lose(kept.id, 'over in etcd');
    }
  }

  #lose(id: bigint, reason: string): void {
    if (!this.lost.has(id)) this.lost.set(id, reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const { timer, call } of this.#kept) {
      clearInterval(timer);
      call.cancel();
    }
    for (const client of this.#clients) client[Symbol.dispose]();
  }
}
