/**
 * `npm run bench:watch`: watches through etcd, its grpc-proxy and this proxy, in turns in one run. Prints a table and
 * writes it into docs/benchmarks.md. Ratios mean more than absolute numbers. `BENCH_ONLY` picks works by name.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RawGrpcClient } from '../test/support/raw-grpc.ts';
import { b, type Create, put } from '../test/support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../test/support/watch-load.ts';
import { besideStopped } from './stopped-reader.ts';
import { type Contestant, startContestants } from './support/contestants.ts';
import { cpuSeconds } from './support/cpu.ts';
import { residentBytes } from './support/memory.ts';
import { writeSection } from './support/report.ts';

/** A load of watchers on one contestant. */
class Load implements Disposable {
  readonly counts = new LoadCounts();
  readonly streams: LoadStream[] = [];
  readonly #connections: LoadConnection[] = [];

  /** Opens connections with so many streams and watches each, and waits until all are created. */
  async open(
    address: string,
    connections: number,
    streams: number,
    watches: number,
    watch: (index: number) => Create,
  ): Promise<void> {
    let index = 0;
    for (let i = 0; i < connections; i++) {
      const connection = await LoadConnection.open(address);
      this.#connections.push(connection);
      for (let j = 0; j < streams; j++) {
        const wishes = Array.from({ length: watches }, () => watch(index++));
        this.streams.push(new LoadStream(connection, this.counts, wishes));
        if (index % 10_000 < watches) await this.created(index - 20_000);
      }
    }
    await this.created(index);
  }

  created(count: number): Promise<void> {
    return this.counts.until(() => this.counts.created >= count, 180_000);
  }

  /** Waits until so many events have come; some never do where a server ends the streams of slow clients. */
  async events(count: number): Promise<void> {
    const { counts } = this;
    await counts.until(() => counts.events >= count || counts.ended > 0, 60_000);
    if (counts.events < count)
      throw new Error(`${counts.ended} streams ended, ${counts.events} of ${count} events`);
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection[Symbol.dispose]();
  }
}

const KEY: Create = { key: b('bench/watch') };
const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

/** Measures of one work by one contestant, as the cells of its row. */
type Work = (contestant: Contestant, etcd: RawGrpcClient) => Promise<string>;

const awaited: Work = async (contestant, etcd) => {
  using load = new Load();
  await load.open(contestant.address, 10, 1, 100, () => KEY);
  const before = cpuSeconds(contestant.pid);
  for (let i = 1; i <= 1000; i++) {
    await put(etcd, 'bench/watch', 'v'.repeat(256));
    await load.events(i * 1000);
  }
  return `${(cpuSeconds(contestant.pid) - before).toFixed(2)} s CPU`;
};

/** Kilobyte puts with so many under way at a time. One at a time, a server cannot put many events into a response. */
const flood =
  (writers: number): Work =>
  async (contestant, etcd) => {
    using load = new Load();
    await load.open(contestant.address, 10, 1, 100, () => KEY);
    const memory = residentBytes(contestant.pid);
    const before = cpuSeconds(contestant.pid);
    let highest = memory;
    const watch = setInterval(() => {
      highest = Math.max(highest, residentBytes(contestant.pid));
    }, 50);
    let failed = '';
    try {
      for (let i = 0; i < 3000; i += writers)
        await Promise.all(Array.from({ length: writers }, () => put(etcd, 'bench/watch', 'v'.repeat(1024))));
      await load.events(3_000_000).catch((error: Error) => {
        failed = `; failed: ${error.message}`;
      });
    } finally {
      clearInterval(watch);
    }
    const cpu = cpuSeconds(contestant.pid) - before;
    const each = ((cpu / load.counts.events) * 1e6).toFixed(2);
    const grown = ((highest - memory) / 2 ** 20).toFixed(0);
    return `${cpu.toFixed(2)} s CPU, ${each} µs a delivery, RSS +${grown} MiB${failed}`;
  };

const idle: Work = async (contestant, etcd) => {
  using load = new Load();
  const before = residentBytes(contestant.pid);
  await load.open(contestant.address, 10, 10, 500, (index) => ({ key: b(`bench/idle/${index % 1000}`) }));
  await sleep(2000);
  const each = (residentBytes(contestant.pid) - before) / 50_000 / 1024;
  for (let i = 0; i < 1000; i++) await put(etcd, `bench/idle/${i}`, 'v');
  await load.events(50_000);
  return `${each.toFixed(2)} KiB RSS a watcher`;
};

const connections: Work = async (contestant) => {
  using load = new Load();
  const before = residentBytes(contestant.pid);
  await load.open(contestant.address, 3000, 1, 1, () => KEY);
  await sleep(2000);
  return `${((residentBytes(contestant.pid) - before) / 3000 / 1024).toFixed(1)} KiB RSS a connection`;
};

const crowd: Work = async (contestant, etcd) => {
  using load = new Load();
  await load.open(contestant.address, 10, 100, 100, () => KEY);
  const before = cpuSeconds(contestant.pid);
  for (let i = 1; i <= 20; i++) {
    await put(etcd, 'bench/watch', 'v');
    await load.events(i * 100_000);
  }
  return `all received; ${(cpuSeconds(contestant.pid) - before).toFixed(2)} s CPU`;
};

/** The contestants take turns put by put, so that whatever else the machine does hits all of them. */
async function latency(contestants: readonly Contestant[], etcd: RawGrpcClient): Promise<string[]> {
  using loads = new DisposableStack();
  const runs: { key: string; load: Load; times: number[] }[] = [];
  for (const { name, address } of contestants) {
    const run = { key: `bench/latency/${name}`, load: loads.use(new Load()), times: [] };
    await run.load.open(address, 10, 1, 10, () => ({ key: b(run.key) }));
    runs.push(run);
  }
  for (let i = 1; i <= LATENCY_PUTS; i++) {
    const round = performance.now();
    for (const { key, load, times } of runs) {
      const start = performance.now();
      await Promise.all([put(etcd, key, 'v'.repeat(256)), load.events(i * 100)]);
      times.push(performance.now() - start);
    }
    await sleep(Math.max(0, 5 - (performance.now() - round)));
  }
  return runs.map(({ times }) => {
    times.sort((a, c) => a - c);
    return `p50 ${percentile(times, 0.5).toFixed(2)} ms, p99 ${percentile(times, 0.99).toFixed(2)} ms`;
  });
}

/** Puts of each contestant: enough for the 99th percentile of two runs to agree. */
const LATENCY_PUTS = 2000;

/** Puts to keys that nobody watches, beside so many watchers. */
const bystanders =
  (watchers: number): Work =>
  async (contestant, etcd) => {
    using load = new Load();
    await load.open(contestant.address, 1, 1, 1, () => ({ key: b('bench/by/'), rangeEnd: b('bench/by0') }));
    await load.open(contestant.address, 10, 1, watchers / 10, (i) => ({ key: b(`bench/by/${i}`) }));
    const before = cpuSeconds(contestant.pid);
    for (let i = 0; i < 3000; i += 10)
      await Promise.all(
        Array.from({ length: 10 }, (_, j) => put(etcd, `bench/by/none/${j}`, 'v'.repeat(256))),
      );
    await load.events(3000);
    return `${(((cpuSeconds(contestant.pid) - before) / 3000) * 1e6).toFixed(0)} µs CPU a put`;
  };

const WORKS: readonly (readonly [name: string, work: Work, who: 'all' | 'proxies' | 'ours'])[] = [
  ['1 000 watchers of a key, 1 000 puts of 256 bytes, each awaited', awaited, 'all'],
  ['1 000 watchers of a key, 3 000 puts of 1 KiB, one after the other', flood(1), 'all'],
  ['1 000 watchers of a key, 3 000 puts of 1 KiB, 30 at a time', flood(30), 'all'],
  ['50 000 idle watchers on 100 streams', idle, 'proxies'],
  ['3 000 connections with a watcher each', connections, 'proxies'],
  ['100 000 watchers of a key on 1 000 streams, 20 puts', crowd, 'ours'],
  ['1 000 watchers of other keys under a watched prefix', bystanders(1000), 'ours'],
  ['10 000 watchers of other keys under a watched prefix', bystanders(10_000), 'ours'],
];

/** In turns, since what else the machine does matters more than what is measured. */
const STOPPED: readonly (readonly [name: string, stop: boolean])[] = [
  ['1 000 watchers of a key, 1 000 puts/s', false],
  ['1 000 watchers of a key, 1 000 puts/s, beside a stopped client', true],
  ['1 000 watchers of a key, 1 000 puts/s, again', false],
  ['1 000 watchers of a key, 1 000 puts/s, beside a stopped client, again', true],
];

const LATENCY = 'put to last delivery, 100 watchers, some 200 puts/s';

const only = process.env.BENCH_ONLY;
const wanted = (name: string): boolean => only === undefined || name.includes(only);
const table = ['| work | server | result |', '| --- | --- | --- |'];
let version = '';

function report(name: string, contestant: Contestant, result: string): void {
  table.push(`| ${name} | ${contestant.name} | ${result} |`);
  process.stdout.write(`${name} | ${contestant.name} | ${result}\n`);
}

for (const [name, work, who] of WORKS) {
  if (!wanted(name)) continue;
  // Fresh processes for every work, so that memory is comparable.
  await using contestants = await startContestants();
  version = contestants.version;
  using etcd = new RawGrpcClient(contestants.etcd.address);
  await put(etcd, 'bench/warm', 'v');
  const all = [contestants.ours, contestants.incumbent, contestants.etcd];
  const running = all.slice(0, who === 'ours' ? 1 : who === 'proxies' ? 2 : 3);
  for (const contestant of running) {
    const result = await work(contestant, etcd).catch(
      (error: unknown) => `failed: ${String(error).slice(0, 80)}`,
    );
    report(name, contestant, result);
    await sleep(500);
  }
}
for (const [name, stop] of STOPPED) {
  if (!wanted(name)) continue;
  await using contestants = await startContestants();
  using etcd = new RawGrpcClient(contestants.etcd.address);
  report(name, contestants.ours, await besideStopped(contestants.ours, etcd, stop));
}
if (wanted(LATENCY)) {
  await using contestants = await startContestants();
  using etcd = new RawGrpcClient(contestants.etcd.address);
  const all = [contestants.ours, contestants.incumbent, contestants.etcd];
  const results = await latency(all, etcd);
  all.forEach((contestant, i) => {
    report(LATENCY, contestant, results[i] as string);
  });
}
if (only === undefined)
  await writeSection(
    'Watches',
    'npm run bench:watch',
    `etcd ${version}; one load client on the same machine.`,
    table,
  );
