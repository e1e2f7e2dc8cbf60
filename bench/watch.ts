/**
 * `npm run bench:watch`: watches through etcd, its grpc-proxy and this proxy, in turns in one run. Prints tables and
 * writes them into docs/benchmarks.md. Ratios mean more than absolute numbers. `BENCH_ONLY` picks works by name;
 * with `BENCH_FLAGS=--namespace=bench/` the clients of both proxies, and who writes for them, are within a namespace.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RawGrpcClient } from '../test/support/raw-grpc.ts';
import { put } from '../test/support/watch-client.ts';
import { besideStopped } from './stopped-reader.ts';
import { BEFORE, type Contestant, startContestants } from './support/contestants.ts';
import { writeSection } from './support/report.ts';
import { COSTS_HEAD, compareCosts } from './support/watch-costs.ts';
import {
  awaited,
  bystanders,
  connections,
  crowd,
  flood,
  idle,
  latency,
  type Result,
  streams,
  type Work,
} from './support/watch-works.ts';

/** Each stream counts as 4 KiB until it is over: by default 62 000 have room. */
const ROOM = [`--max-request-bytes-in-flight=${1 << 30}`];

/** Memory depends on when garbage happens to be collected: such works are done several times, for the median. */
const WORKS: readonly (readonly [
  name: string,
  work: Work,
  who: 'all' | 'proxies' | 'ours',
  rounds?: number,
  flags?: readonly string[],
])[] = [
  ['1 000 watchers of a key, 1 000 puts of 256 bytes, each awaited', awaited(1000, 256), 'all'],
  ['1 000 watchers of a key, 3 000 puts of 1 KiB, each awaited', awaited(3000, 1024), 'all'],
  ['1 000 watchers of a key, 3 000 puts of 1 KiB, one after the other', flood(1), 'all'],
  ['1 000 watchers of a key, 3 000 puts of 1 KiB, 30 at a time', flood(30), 'all'],
  ['50 000 idle watchers on 100 streams', idle, 'proxies', 5],
  ['3 000 connections with a watcher each', connections, 'proxies', 3],
  ['100 000 watchers of a key on 1 000 streams, 20 puts', crowd, 'ours'],
  ['100 000 streams with a watcher each on 10 connections', streams, 'ours', 1, ROOM],
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
const table = ['| work | server | result | vs grpc-proxy |', '| --- | --- | --- | --- |'];
let version = '';

/** The rows of one work; p99 is what latencies are compared by. */
function report(name: string, rows: readonly (readonly [Contestant, Result])[]): void {
  const reference = rows.find(([{ name: who }]) => who === 'etcd grpc-proxy')?.[1].value;
  for (const [contestant, { text, value }] of rows) {
    const ratio = value === undefined || reference === undefined ? '' : `${(value / reference).toFixed(2)}x`;
    table.push(`| ${name} | ${contestant.name} | ${text} | ${ratio} |`);
    process.stdout.write(`${name} | ${contestant.name} | ${text} | ${ratio}\n`);
  }
}

/** One work by one contestant after the other. Fresh processes for every round, so that memory is comparable. */
async function round(
  work: Work,
  who: string,
  flags: readonly string[],
): Promise<(readonly [Contestant, Result])[]> {
  await using contestants = await startContestants(undefined, flags);
  version = contestants.version;
  const all = [contestants.ours, contestants.incumbent, contestants.etcd];
  const rows: (readonly [Contestant, Result])[] = [];
  for (const contestant of all.slice(0, who === 'ours' ? 1 : who === 'proxies' ? 2 : 3)) {
    using etcd = new RawGrpcClient(contestant.writes);
    await put(etcd, 'bench/warm', 'v');
    const failed = (error: unknown): Result => ({ text: `failed: ${String(error).slice(0, 80)}` });
    rows.push([contestant, await work(contestant, etcd).catch(failed)]);
    await sleep(500);
  }
  return rows;
}

/** The result in the middle; one that failed stands for all. */
function median(results: readonly Result[]): Result {
  const sorted = results.toSorted((a, c) => (a.value ?? Number.NaN) - (c.value ?? Number.NaN));
  const middle = sorted[sorted.length >> 1] as Result;
  if (sorted.length === 1) return middle;
  const failure = results.find(({ value }) => value === undefined);
  const all = sorted.map(({ value }) => value?.toFixed(2)).join(' ');
  return failure ?? { ...middle, text: `${middle.text} (median of ${all})` };
}

for (const [name, work, who, rounds = 1, flags = []] of WORKS) {
  if (!wanted(name)) continue;
  const done: (readonly (readonly [Contestant, Result])[])[] = [];
  for (let i = 0; i < rounds; i++) done.push(await round(work, who, flags));
  report(
    name,
    (done[0] ?? []).map(([contestant], at) => [
      contestant,
      median(done.map((rows) => rows[at]?.[1] as Result)),
    ]),
  );
}
for (const [name, stop] of STOPPED) {
  if (!wanted(name)) continue;
  await using contestants = await startContestants();
  using etcd = new RawGrpcClient(contestants.ours.writes);
  report(name, [[contestants.ours, { text: await besideStopped(contestants.ours, etcd, stop) }]]);
}
if (wanted(LATENCY)) {
  await using contestants = await startContestants();
  const all = [contestants.ours, contestants.incumbent, contestants.etcd];
  const results = await latency(all);
  report(
    LATENCY,
    all.map((contestant, i) => [contestant, results[i] as Result]),
  );
}
const costs = [...COSTS_HEAD, ...(await compareCosts(wanted, (row) => process.stdout.write(`${row}\n`)))];
if (only === undefined && BEFORE === undefined) {
  const setup = `etcd ${version}; one load client on the same machine.`;
  await writeSection('Watches', 'npm run bench:watch', setup, table);
  const brackets = `${setup} In brackets: how many times direct and grpc-proxy's it is.`;
  await writeSection('What watches cost etcd', 'npm run bench:watch', brackets, costs);
}
