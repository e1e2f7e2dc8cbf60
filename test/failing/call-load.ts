/**
 * Puts and linearizable gets with a deadline, begun at a steady rate whatever becomes of the ones before, as the clients
 * of a cluster do. Each put writes a key of its own, so that afterwards the store tells how often it took effect; each
 * get asks for the key that its client was last told of, so that an answer without it is stale.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { GrpcOutcome, RawGrpcClient } from '../support/raw-grpc.ts';
import { b } from '../support/watch-client.ts';
import { openClient } from './clients.ts';

/** What became of one call. */
export interface Sample {
  readonly kind: 'put' | 'get';
  readonly key: string;
  /** In milliseconds of `performance.now()`. */
  readonly sentAt: number;
  readonly endedAt: number;
  /** Answered as etcd answers when it serves. */
  readonly ok: boolean;
  /** The code and message of a failure. */
  readonly failure: string;
}

/** How a load is made. */
export interface LoadOptions {
  /** What its keys begin with. */
  readonly prefix: string;
  /** A client for each, whose calls have that deadline. */
  readonly deadlinesMs: readonly number[];
  /** From one call of a client to its next of the same kind. */
  readonly everyMs: number;
}

const PUT = '/etcdserverpb.KV/Put';
const RANGE = '/etcdserverpb.KV/Range';

/** A failure in words; grpc-js tells of its own deadlines where the time went, each time differently. */
function textOf({ code, message }: GrpcOutcome): string {
  return `${code} ${message.replace(/^Deadline exceeded after.*/, 'deadline exceeded at the client')}`;
}

/** Clients of one address. */
export class CallLoad {
  /** In the order in which they ended. */
  readonly samples: Sample[] = [];
  readonly #clients: readonly LoadClient[];

  constructor(address: string, { prefix, deadlinesMs, everyMs }: LoadOptions) {
    const note = (sample: Sample): void => void this.samples.push(sample);
    this.#clients = deadlinesMs.map(
      (deadlineMs, i) => new LoadClient(address, `${prefix}put/${i}/`, deadlineMs, everyMs, note),
    );
  }

  /** Begins no more calls and waits for the ends of those under way. */
  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
  }
}

class LoadClient {
  readonly #client: RawGrpcClient;
  readonly #prefix: string;
  readonly #deadlineMs: number;
  readonly #note: (sample: Sample) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #pending = new Set<Promise<void>>();
  #puts = 0;
  #told: string | undefined;

  constructor(
    address: string,
    prefix: string,
    deadlineMs: number,
    everyMs: number,
    note: (sample: Sample) => void,
  ) {
    this.#client = openClient(address);
    this.#prefix = prefix;
    this.#deadlineMs = deadlineMs;
    this.#note = note;
    this.#timer = setInterval(() => this.#begin(), everyMs);
  }

  #begin(): void {
    const key = `${this.#prefix}${String(this.#puts++).padStart(6, '0')}`;
    const put = toBinary(PutRequestSchema, create(PutRequestSchema, { key: b(key), value: b(key) }));
    this.#track('put', key, PUT, put, () => {
      this.#told = key;
      return '';
    });
    const told = this.#told ?? key;
    const expected = this.#told === undefined ? 0n : 1n;
    const get = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b(told) }));
    this.#track('get', told, RANGE, get, ({ messages: [reply] }) => {
      const { count } = fromBinary(RangeResponseSchema, reply ?? new Uint8Array());
      return count >= expected ? '' : 'stale: a key that was acknowledged is missing';
    });
  }

  /** Makes a call; `judge` says what is wrong with an answer. */
  #track(
    kind: Sample['kind'],
    key: string,
    path: string,
    message: Uint8Array,
    judge: (outcome: GrpcOutcome) => string,
  ): void {
    const sentAt = performance.now();
    const options = { timeoutMs: this.#deadlineMs, limitMs: this.#deadlineMs + 10_000 };
    const done = this.#client.call(path, [message], options).then((outcome) => {
      const failure = outcome.code === 0 ? judge(outcome) : textOf(outcome);
      this.#note({ kind, key, sentAt, endedAt: performance.now(), ok: failure === '', failure });
      this.#pending.delete(done);
    });
    this.#pending.add(done);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    this.#client.close();
  }
}
