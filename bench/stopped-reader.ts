/**
 * How long 1 000 watchers of a key wait for 1 000 puts a second, with a client beside them that is stopped (SIGSTOP) and
 * without. The load client is part of what is measured, and the same in both.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RawGrpcClient } from '../test/support/raw-grpc.ts';
import { b, put } from '../test/support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../test/support/watch-load.ts';
import { StoppedReader } from '../test/watch/stopped/stopped-reader.ts';
import type { Contestant } from './support/contestants.ts';
import { mib, residentBytes } from './support/memory.ts';

const KEY = 'bench/stopped';
const STREAMS = 10;
const WATCHERS = 100;
/** Puts of a run, so many at a time, so many times a second. */
const PUTS = 8000;
const AT_ONCE = 10;
const TICKS = 100;

/** A stream that notes when each put has reached all of its watchers. */
class TimedStream extends LoadStream {
  readonly times: number[] = [];
  readonly #sentAt: readonly number[];
  #delivered = 0;

  constructor(connection: LoadConnection, counts: LoadCounts, sentAt: readonly number[]) {
    super(
      connection,
      counts,
      Array.from({ length: WATCHERS }, () => ({ key: b(KEY) })),
    );
    this.#sentAt = sentAt;
  }

  override onMessage(message: Uint8Array): void {
    super.onMessage(message);
    for (; this.#delivered < Math.floor(this.events / WATCHERS); this.#delivered++)
      this.times.push(performance.now() - (this.#sentAt[this.#delivered] as number));
  }
}

/**
 * One run.
 * @returns latencies of put to last delivery on a stream, the rate reached, and the growth of the proxy
 */
export async function besideStopped(
  contestant: Contestant,
  etcd: RawGrpcClient,
  stop: boolean,
): Promise<string> {
  const sentAt: number[] = [];
  const counts = new LoadCounts();
  using connections = new DisposableStack();
  const streams: TimedStream[] = [];
  for (let i = 0; i < STREAMS; i++) {
    const connection = connections.use(await LoadConnection.open(contestant.address));
    streams.push(new TimedStream(connection, counts, sentAt));
  }
  await counts.reach(() => counts.created === STREAMS * WATCHERS);
  sentAt.push(performance.now());
  const first = await put(etcd, KEY, 'v'.repeat(256));
  // One that reads would take its share of the machine, and nothing could be compared.
  await using reader = stop ? await StoppedReader.start(contestant.address, KEY, '', first) : undefined;
  reader?.hold();
  const before = residentBytes(contestant.pid);
  const start = performance.now();
  for (let done = 0; done < PUTS; done += AT_ONCE) {
    const due = start + (done / AT_ONCE) * (1000 / TICKS);
    await sleep(Math.max(0, due - performance.now()));
    const now = performance.now();
    for (let i = 0; i < AT_ONCE; i++) sentAt.push(now);
    await Promise.all(Array.from({ length: AT_ONCE }, () => put(etcd, KEY, 'v'.repeat(256))));
  }
  const seconds = (performance.now() - start) / 1000;
  await counts.reach(() => counts.events === (PUTS + 1) * STREAMS * WATCHERS);
  const grown = mib(residentBytes(contestant.pid) - before);
  const times = streams.flatMap((stream) => stream.times).sort((a, c) => a - c);
  const part = (share: number): string => (times[Math.floor(times.length * share)] ?? Number.NaN).toFixed(1);
  return `p50 ${part(0.5)} ms, p99 ${part(0.99)} ms at ${(PUTS / seconds).toFixed(0)} puts/s, RSS +${grown} MiB`;
}
