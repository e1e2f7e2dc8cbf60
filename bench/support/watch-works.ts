/** The works that servers of watches are measured by. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RawGrpcClient } from '../../test/support/raw-grpc.ts';
import { b, type Create, put } from '../../test/support/watch-client.ts';
import type { Contestant } from './contestants.ts';
import { cpuSeconds } from './cpu.ts';
import { Load } from './load.ts';
import { mib, peakOf, residentBytes } from './memory.ts';

const KEY: Create = { key: b('bench/watch') };
const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

/** What one contestant made of one work. */
export interface Result {
  /** What the incumbent's is compared with; the lower the better. */
  readonly value?: number;
  readonly text: string;
}

/** A piece of work that each contestant does on an etcd of its own. */
export type Work = (contestant: Contestant, etcd: RawGrpcClient) => Promise<Result>;

/** What a process spends on something: CPU seconds, and by how many bytes it grows at most. */
async function spent(pid: number, work: () => Promise<void>): Promise<{ cpu: number; grown: number }> {
  const [memory, cpu] = [residentBytes(pid), cpuSeconds(pid)];
  const { peak } = await peakOf(pid, work());
  return { cpu: cpuSeconds(pid) - cpu, grown: peak - memory };
}

/** Puts of so many bytes, each when all watchers have had the one before: nothing can be put together. */
export const awaited =
  (puts: number, bytes: number): Work =>
  async (contestant, etcd) => {
    using load = new Load();
    await load.open(contestant.address, 10, 1, 100, () => KEY);
    const { cpu, grown } = await spent(contestant.pid, async () => {
      for (let i = 1; i <= puts; i++) {
        await put(etcd, 'bench/watch', 'v'.repeat(bytes));
        await load.events(i * 1000);
      }
    });
    return { value: cpu, text: `${cpu.toFixed(2)} s CPU, RSS +${mib(grown)} MiB` };
  };

/** Kilobyte puts with so many under way at a time. One at a time, a server cannot put many events into a response. */
export const flood =
  (writers: number): Work =>
  async (contestant, etcd) => {
    using load = new Load();
    await load.open(contestant.address, 10, 1, 100, () => KEY);
    let failed = '';
    const { cpu, grown } = await spent(contestant.pid, async () => {
      for (let i = 0; i < 3000; i += writers)
        await Promise.all(Array.from({ length: writers }, () => put(etcd, 'bench/watch', 'v'.repeat(1024))));
      await load.events(3_000_000).catch((error: Error) => {
        failed = `; failed: ${error.message}`;
      });
    });
    const value = (cpu / load.counts.events) * 1e6;
    return {
      value,
      text: `${cpu.toFixed(2)} s CPU, ${value.toFixed(2)} µs a delivery, RSS +${mib(grown)} MiB${failed}`,
    };
  };

/** 50 000 watchers that hear almost nothing: memory of each. */
export const idle: Work = async (contestant, etcd) => {
  using load = new Load();
  const before = residentBytes(contestant.pid);
  await load.open(contestant.address, 10, 10, 500, (index) => ({ key: b(`bench/idle/${index % 1000}`) }));
  await sleep(2000);
  const resident = residentBytes(contestant.pid);
  const value = (resident - before) / 50_000 / 1024;
  for (let i = 0; i < 1000; i++) await put(etcd, `bench/idle/${i}`, 'v');
  await load.each(500);
  return { value, text: `${value.toFixed(2)} KiB RSS a watcher, ${mib(resident)} MiB in all` };
};

/** 3 000 connections with one watcher each: memory of each. */
export const connections: Work = async (contestant) => {
  using load = new Load();
  const before = residentBytes(contestant.pid);
  await load.open(contestant.address, 3000, 1, 1, () => KEY);
  await sleep(2000);
  const resident = residentBytes(contestant.pid);
  const value = (resident - before) / 3000 / 1024;
  return { value, text: `${value.toFixed(1)} KiB RSS a connection, ${mib(resident)} MiB in all` };
};

/** 100 000 watchers of one key, 20 puts: that all arrive, and the CPU for it. */
export const crowd: Work = async (contestant, etcd) => {
  using load = new Load();
  await load.open(contestant.address, 10, 100, 100, () => KEY);
  const before = cpuSeconds(contestant.pid);
  for (let i = 1; i <= 20; i++) {
    await put(etcd, 'bench/watch', 'v');
    await load.each(i * 100);
  }
  return { text: `all received; ${(cpuSeconds(contestant.pid) - before).toFixed(2)} s CPU` };
};

/** As many streams as watchers; the load client itself must hold them too. */
export const streams: Work = async (contestant, etcd) => {
  using load = new Load();
  const [before, own] = [residentBytes(contestant.pid), residentBytes(process.pid)];
  await load.open(contestant.address, 10, 10_000, 1, () => KEY);
  await sleep(2000);
  const kib = (bytes: number): string => (bytes / 100_000 / 1024).toFixed(2);
  const [each, mine] = [residentBytes(contestant.pid) - before, residentBytes(process.pid) - own];
  await put(etcd, 'bench/watch', 'v');
  await load.each(1);
  return { text: `${kib(each)} KiB RSS a stream (load client: ${kib(mine)}); all received` };
};

/** The contestants take turns put by put, so that whatever else the machine does hits all of them. */
export async function latency(contestants: readonly Contestant[]): Promise<Result[]> {
  using held = new DisposableStack();
  const runs: { key: string; etcd: RawGrpcClient; load: Load; times: number[] }[] = [];
  for (const { name, address, writes } of contestants) {
    const etcd = held.use(new RawGrpcClient(writes));
    const run = { key: `bench/latency/${name}`, etcd, load: held.use(new Load()), times: [] };
    await run.load.open(address, 10, 1, 10, () => ({ key: b(run.key) }));
    runs.push(run);
  }
  for (let i = 1; i <= LATENCY_PUTS; i++) {
    const round = performance.now();
    for (const { key, etcd, load, times } of runs) {
      const start = performance.now();
      await Promise.all([put(etcd, key, 'v'.repeat(256)), load.events(i * 100)]);
      times.push(performance.now() - start);
    }
    await sleep(Math.max(0, 5 - (performance.now() - round)));
  }
  return runs.map(({ times }) => {
    times.sort((a, c) => a - c);
    const value = percentile(times, 0.99);
    return { value, text: `p50 ${percentile(times, 0.5).toFixed(2)} ms, p99 ${value.toFixed(2)} ms` };
  });
}

/** Puts of each contestant: enough for the 99th percentile of two runs to agree. */
const LATENCY_PUTS = 2000;

/** Puts to keys that nobody watches, beside so many watchers. */
export const bystanders =
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
    return { text: `${(((cpuSeconds(contestant.pid) - before) / 3000) * 1e6).toFixed(0)} µs CPU a put` };
  };
