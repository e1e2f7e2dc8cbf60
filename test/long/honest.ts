/**
 * Honest clients: a hundred watchers, and writers whose ranges they watch. Every call must succeed, however long it
 * takes, and every watcher must see every write once and in order.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, WatchCall } from '../support/watch-client.ts';
import { Failures, LIMIT_MS, PAUSE_MS, place, Writer } from './writer.ts';

const WRITERS = 20;
const WATCHING_CLIENTS = 20;
const WATCHES_EACH = 5;

/** A client with one stream and some watches on it. */
class Watching {
  /** By watch: which writer's range it is, and the revisions of its events. */
  readonly watches: { readonly writer: number; readonly revisions: number[] }[];
  readonly #client: RawGrpcClient;
  readonly #failures: Failures;
  readonly #start: bigint;
  #call: WatchCall | undefined;
  #stopped = false;

  constructor(address: string, at: number, start: bigint, failures: Failures) {
    this.#client = new RawGrpcClient(address);
    this.#start = start;
    this.#failures = failures;
    this.watches = Array.from({ length: WATCHES_EACH }, (_, i) => ({
      writer: (at + 3 * i) % WRITERS,
      revisions: [],
    }));
  }

  /** Watches, and goes on after the last event seen where the stream ends. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const call = new WatchCall(this.#client);
      this.#call = call;
      for (const [i, { writer, revisions }] of this.watches.entries()) {
        const last = revisions.at(-1);
        const startRevision = last === undefined ? this.#start : BigInt(last + 1);
        const [key, rangeEnd] = [b(place(writer)), b(`honest/${writer}0`)];
        call.create({ key, rangeEnd, startRevision, watchId: BigInt(i + 1) });
      }
      try {
        for (;;) this.#take(await call.must(LIMIT_MS));
      } catch (error) {
        if (!this.#stopped) this.#failures.add(`a watch stream: ${String(error)}`);
      }
      call.close();
      await sleep(PAUSE_MS);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#call?.close();
    this.#client.close();
  }

  #take({ watchId, canceled, cancelReason, events }: Awaited<ReturnType<WatchCall['must']>>): void {
    if (canceled) throw new Error(`watch ${watchId} was canceled: ${cancelReason}`);
    const watch = this.watches[Number(watchId) - 1];
    for (const { kv } of events) watch?.revisions.push(Number(kv?.modRevision));
  }
}

const quantiles = (times: number[]): string => {
  const sorted = times.sort((a, c) => a - c);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
  return `${sorted.length}, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`;
};

/** All of them. */
export class HonestLoad {
  readonly #failures = new Failures();
  readonly #writers: readonly Writer[];
  readonly #watching: readonly Watching[];
  readonly #running: Promise<void>[];

  /** @param start the revision of the first write, at most */
  constructor(address: string, start: number) {
    this.#writers = Array.from({ length: WRITERS }, (_, i) => new Writer(address, i, this.#failures));
    this.#watching = Array.from(
      { length: WATCHING_CLIENTS },
      (_, i) => new Watching(address, i, BigInt(start), this.#failures),
    );
    this.#running = [...this.#watching, ...this.#writers].map((one) => one.run());
  }

  /** Ends the writers, and the watchers when they have seen everything or nothing more comes. */
  async stop(limitMs = 60_000): Promise<void> {
    for (const writer of this.#writers) writer.stopped = true;
    await Promise.all(this.#running.slice(WATCHING_CLIENTS));
    const end = performance.now() + limitMs;
    while (this.#lost() > 0 && performance.now() < end) await sleep(50);
    for (const watching of this.#watching) watching.stop();
    await Promise.all(this.#running);
  }

  /** Fails unless everything was as it must be. */
  assertServed(): void {
    assert.deepEqual(this.#failures.texts, [], `${this.#failures.count} failures`);
    for (const { watches } of this.#watching)
      for (const { writer, revisions } of watches)
        assert.deepEqual(revisions, this.#writers[writer]?.revisions, `events of writer ${writer}`);
  }

  /** What they did, for people. */
  told(): string[] {
    const events = this.#watching.flatMap(({ watches }) => watches.map(({ revisions }) => revisions.length));
    return [
      `puts: ${quantiles(this.#writers.flatMap(({ puts }) => puts))}`,
      `gets: ${quantiles(this.#writers.flatMap(({ gets }) => gets))}`,
      `watchers: ${events.length} with ${events.reduce((sum, n) => sum + n, 0)} events; lost ${this.#lost()}; failures ${this.#failures.count}`,
    ];
  }

  /** Watches that have not seen every write that was answered. */
  #lost(): number {
    const behind = this.#watching.flatMap(({ watches }) =>
      watches.filter(
        ({ writer, revisions }) => revisions.length < (this.#writers[writer]?.revisions.length ?? 0),
      ),
    );
    return behind.length;
  }
}
