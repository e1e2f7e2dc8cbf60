/** Runs one load against all contestants in turns, so that whatever else the machine does hits all of them. */
import { BEFORE, type Contestant, type Contestants } from './contestants.ts';
import { cpuSeconds, median } from './cpu.ts';
import { h2load, type Load } from './h2load.ts';

/** How often each contestant gets each load. */
export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
/** Requests in one round. */
export const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 60_000);
/** The same for what has many works that take long: with `BENCH_BEFORE`, whose answer is wanted within a minute, fewer. */
export const FEWER_REQUESTS = Number(
  process.env.BENCH_REQUESTS ?? (BEFORE === undefined ? REQUESTS : REQUESTS / 4),
);

/** The head of the tables that {@link compare} fills. */
export const TABLE_HEAD: readonly string[] = [
  '| work | server | requests/s | vs grpc-proxy | CPU µs/request | vs grpc-proxy |',
  '| --- | --- | --- | --- | --- | --- |',
];

interface Sample {
  readonly rate: number;
  /** CPU microseconds of the contestant's own process, by request. */
  readonly cpu: number;
}

/** Something to do so many times. */
export interface Work {
  readonly requests: number;
  /** Does it against `host:port` and returns requests a second. Fails when a single request fails. */
  run(address: string, requests: number): Promise<number>;
}

async function measure(contestant: Contestant, work: Work): Promise<Sample> {
  const before = cpuSeconds(contestant.pid);
  const rate = await work.run(contestant.address, work.requests);
  return { rate, cpu: ((cpuSeconds(contestant.pid) - before) / work.requests) * 1e6 };
}

/** Measures a load and returns the rows of the table: the median of all rounds, after one that does not count. */
export function compare(title: string, contestants: Contestants, load: Load): Promise<string[]> {
  const run = (address: string, requests: number) => h2load(address, { ...load, requests });
  return compareWork(title, contestants, { requests: load.requests, run });
}

/** The same for work that another program than h2load does. */
export async function compareWork(title: string, contestants: Contestants, work: Work): Promise<string[]> {
  // etcd itself says nothing about two builds
  const all = [...(BEFORE === undefined ? [contestants.etcd] : []), contestants.incumbent, contestants.ours];
  const samples = new Map(all.map((contestant) => [contestant, [] as Sample[]]));
  for (const contestant of all) await work.run(contestant.address, Math.ceil(work.requests / 4));
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of all) samples.get(contestant)?.push(await measure(contestant, work));
  }
  const results = new Map(
    [...samples].map(([contestant, taken]) => [
      contestant,
      { rate: median(taken.map(({ rate }) => rate)), cpu: median(taken.map(({ cpu }) => cpu)) },
    ]),
  );
  return rows(title, contestants, results);
}

function rows(title: string, contestants: Contestants, results: Map<Contestant, Sample>): string[] {
  const base = results.get(contestants.incumbent) as Sample;
  return [...results].map(([{ name }, { rate, cpu }]) => {
    const ratios = [rate / base.rate, cpu / base.cpu].map((ratio) => `${ratio.toFixed(2)}x`);
    return `| ${title} | ${name} | ${Math.round(rate)} | ${ratios[0]} | ${cpu.toFixed(1)} | ${ratios[1]} |`;
  });
}
