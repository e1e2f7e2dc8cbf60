/** Calls that last while a member fails: a watch, leases that are kept alive, and a Lock that waits for its turn. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { LeaseKeepAliveRequestSchema, LeaseKeepAliveResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import { LockRequestSchema } from '#gen/v3lockpb/lock_pb.js';
import type { CallOptions, GrpcOutcome, RawCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { b, WatchCall } from '../support/watch-client.ts';
import { openClient } from './clients.ts';

/** An event as a watch saw it. */
export interface SeenEvent {
  readonly key: string;
  readonly revision: bigint;
}

const FOREVER_MS = 2 ** 31 - 1;

/** The key after all that begin with a prefix, which ends with a slash. */
export const endOf = (prefix: string): Uint8Array => b(`${prefix.slice(0, -1)}0`);

/** A watch of a prefix that goes on where it was whenever its stream ends, as etcd's clients do. */
export class ResumingWatch {
  readonly events: SeenEvent[] = [];
  /** How its streams ended. */
  readonly endings: string[] = [];
  readonly #client: RawGrpcClient;
  readonly #prefix: string;
  readonly #options: CallOptions;
  #watch: WatchCall | undefined;
  #closed = false;
  #next: bigint;

  constructor(address: string, prefix: string, startRevision: bigint, options: CallOptions = {}) {
    this.#client = openClient(address);
    this.#prefix = prefix;
    this.#next = startRevision;
    this.#options = options;
    void this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const watch = new WatchCall(this.#client, this.#options);
      this.#watch = watch;
      const { key, rangeEnd } = { key: b(this.#prefix), rangeEnd: endOf(this.#prefix) };
      watch.create({ key, rangeEnd, startRevision: this.#next });
      const reason = await this.#read(watch);
      watch.close();
      const { code, message } = await watch.end;
      if (!this.#closed) this.endings.push(reason ?? `${code} ${message}`);
      await new Promise((resolve) => setTimeout(resolve, 100)); // as long as Go's client waits at first
    }
    this.#client.close();
  }

  /** Takes events until the stream or the watch ends. */
  async #read(watch: WatchCall): Promise<string | undefined> {
    for (;;) {
      const response = await watch.next(FOREVER_MS);
      if (response === undefined) return undefined;
      for (const { kv } of response.events) {
        const revision = kv?.modRevision ?? 0n;
        this.events.push({ key: Buffer.from(kv?.key ?? []).toString(), revision });
        this.#next = revision + 1n;
      }
      if (response.canceled) return `canceled: ${response.cancelReason}`;
    }
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
  }
}

const KEEP_ALIVE = '/etcdserverpb.Lease/LeaseKeepAlive';

/** How often leases that are due are sent, and how long after its end a stream is opened again. Go's client's values. */
const TICK_MS = 500;

interface KeptLease {
  /** When its next heartbeat is due, in milliseconds of `performance.now()`. */
  due: number;
  /** When its client gives it up. */
  until: number;
}

/** Leases kept alive on one stream, in the rhythm of etcd's Go client: a heartbeat is due when a third of TTL is over. */
export class Heartbeats {
  /** Leases that are over, with the reason. */
  readonly lost = new Map<bigint, string>();
  readonly #client: RawGrpcClient;
  readonly #ttlMs: number;
  readonly #leases = new Map<bigint, KeptLease>();
  readonly #timer: NodeJS.Timeout;
  #call: RawCall | undefined;
  #closed = false;

  constructor(address: string, ttlSeconds: number, ids: readonly bigint[]) {
    this.#client = openClient(address);
    this.#ttlMs = ttlSeconds * 1000;
    const now = performance.now();
    for (const id of ids) this.#leases.set(id, { due: now, until: now + this.#ttlMs });
    this.#open();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  #open(): void {
    const call = this.#client.open(KEEP_ALIVE);
    this.#call = call;
    void this.#read(call).then(() => {
      this.#call = undefined;
      if (!this.#closed) setTimeout(() => this.#closed || this.#open(), TICK_MS);
    });
    this.#tick();
  }

  async #read(call: RawCall): Promise<void> {
    for (;;) {
      const message = await call.next(FOREVER_MS);
      if (message === undefined) return;
      const { ID, TTL } = fromBinary(LeaseKeepAliveResponseSchema, message);
      const now = performance.now();
      if (TTL > 0n) this.#leases.set(ID, { due: now + this.#ttlMs / 3, until: now + this.#ttlMs });
      else this.#lose(ID, 'expired in etcd');
    }
  }

  #tick(): void {
    const now = performance.now();
    for (const [id, { due, until }] of this.#leases) {
      if (this.lost.has(id)) continue;
      if (now > until + TICK_MS) this.#lose(id, 'no answer while it lived');
      else if (now >= due)
        this.#call?.send(
          toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID: id })),
        );
    }
  }

  #lose(id: bigint, reason: string): void {
    if (!this.lost.has(id)) this.lost.set(id, reason);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#call?.cancel();
    this.#client.close();
  }
}

/** A Lock, which is answered when its turn has come. */
export class WaitingLock {
  outcome: GrpcOutcome | undefined;
  /** Its end, answered or not. */
  readonly ended: Promise<GrpcOutcome>;
  readonly #client: RawGrpcClient;

  constructor(address: string, name: string, lease: bigint) {
    this.#client = openClient(address);
    const message = toBinary(LockRequestSchema, create(LockRequestSchema, { name: b(name), lease }));
    this.ended = this.#client
      .call('/v3lockpb.Lock/Lock', [message], { limitMs: FOREVER_MS })
      .then((outcome) => {
        this.outcome = outcome;
        return outcome;
      });
  }

  close(): void {
    this.#client.close();
  }
}
