/** An honest client that writes and reads, each of whose calls must succeed, however long it takes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b } from '../support/watch-client.ts';

const KEYS = 50;
/** Between two writes, and before a stream that ended is opened again. */
export const PAUSE_MS = 200;
/** Slow is no failure; never is. */
export const LIMIT_MS = 300_000;
const FAILURES_TOLD = 20;

/** The prefix of a writer's keys. */
export const place = (writer: number): string => `honest/${writer}/`;

/** Everything that went wrong, as text. */
export class Failures {
  count = 0;
  readonly texts: string[] = [];

  add(text: string): void {
    this.count++;
    if (this.texts.length < FAILURES_TOLD) this.texts.push(`${new Date().toISOString()} ${text}`);
  }
}

/** Puts numbers, one after the other, and reads them. */
export class Writer {
  /** The revision of each put, in order. */
  readonly revisions: number[] = [];
  readonly puts: number[] = [];
  readonly gets: number[] = [];
  stopped = false;
  readonly #client: RawGrpcClient;
  readonly #prefix: string;
  readonly #failures: Failures;

  constructor(address: string, at: number, failures: Failures) {
    this.#client = new RawGrpcClient(address);
    this.#prefix = place(at);
    this.#failures = failures;
  }

  async run(): Promise<void> {
    for (let n = 0; !this.stopped; n++) {
      await this.#writeAndRead(b(`${this.#prefix}${n % KEYS}`), b(`value ${n}`));
      await sleep(PAUSE_MS);
    }
    this.#client.close();
  }

  async #writeAndRead(key: Uint8Array, value: Uint8Array): Promise<void> {
    const put = toBinary(PutRequestSchema, create(PutRequestSchema, { key, value }));
    const reply = await this.#call('/etcdserverpb.KV/Put', put, this.puts);
    if (reply === undefined) return;
    this.revisions.push(Number(fromBinary(PutResponseSchema, reply).header?.revision));
    const get = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key }));
    const read = await this.#call('/etcdserverpb.KV/Range', get, this.gets);
    if (read === undefined) return;
    const found = fromBinary(RangeResponseSchema, read).kvs[0]?.value ?? b('nothing');
    if (Buffer.compare(found, value) !== 0) this.#failures.add(`a stale read: ${Buffer.from(found)}`);
  }

  /** The reply; undefined where there is none, which is a failure. */
  async #call(path: string, message: Uint8Array, times: number[]): Promise<Uint8Array | undefined> {
    const begin = performance.now();
    try {
      const outcome = await this.#client.call(path, [message], { limitMs: LIMIT_MS });
      times.push(performance.now() - begin);
      if (outcome.code === 0) return outcome.messages[0];
      this.#failures.add(`${path}: ${outcome.code} ${outcome.message}`);
    } catch (error) {
      this.#failures.add(`${path}: ${String(error)}`);
    }
    return undefined;
  }
}
