/** A client that minds its own business: reads at a steady pace on one connection, and how long each took. */
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { ClientCallListener, Ending } from '../../src/grpc/client-call.ts';
import { b } from '../../test/support/watch-client.ts';
import { LoadConnection } from '../../test/support/watch-load.ts';

/** Milliseconds from one call to the next, whether or not the one before was answered. */
const PACE_MS = 2;

/** What a time of calls was like, in milliseconds. */
export interface Pace {
  readonly p50: number;
  readonly p99: number;
  /** Calls that were not answered with a reply. */
  readonly failed: number;
}

/** A steady reader. */
export class Victim implements Disposable {
  readonly #connection: LoadConnection;
  readonly #request: Uint8Array;

  private constructor(connection: LoadConnection, key: string) {
    this.#connection = connection;
    this.#request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b(key) }));
  }

  /** Connects, to read this key linearizably. */
  static async open(address: string, key: string): Promise<Victim> {
    return new Victim(await LoadConnection.open(address), key);
  }

  /** Reads for so many milliseconds. */
  async measure(ms: number): Promise<Pace> {
    const calls: Promise<number>[] = [];
    const begin = performance.now();
    for (let at = begin; at < begin + ms; at += PACE_MS) {
      const wait = at - performance.now();
      if (wait > 0) await sleep(wait);
      calls.push(this.#call());
    }
    const all = await Promise.all(calls);
    const sorted = all.filter((taken) => !Number.isNaN(taken)).sort((x, y) => x - y);
    const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;
    return { p50: at(0.5), p99: at(0.99), failed: all.length - sorted.length };
  }

  /** Milliseconds until the answer; NaN without one. */
  #call(): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const begin = performance.now();
    const listener: ClientCallListener = {
      onHeaders: () => {},
      onMessage: () => {},
      onDrain: () => {},
      onEnding: ({ status }: Ending) => resolve(status.code === 0 ? performance.now() - begin : Number.NaN),
    };
    this.#connection.call(listener, '/etcdserverpb.KV/Range').send(this.#request, true);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}
