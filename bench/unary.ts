/**
 * `npm run bench:unary`: forwarded gets and puts through etcd's own grpc-proxy and through this proxy, in turns in
 * one run. Prints a table and writes it into docs/benchmarks.md. Ratios mean more than absolute numbers.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type Contestant, type Contestants, startContestants } from './support/contestants.ts';
import { cpuSeconds, median } from './support/cpu.ts';
import { h2load, type Load } from './support/h2load.ts';
import { writeSection } from './support/report.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 60_000);
const VALUE = Buffer.alloc(260, 'v');
const KEY = Buffer.from('bench/key');

const work = { requests: REQUESTS, connections: 8, streams: 16 };
const PUT: Load = {
  path: '/etcdserverpb.KV/Put',
  message: toBinary(PutRequestSchema, create(PutRequestSchema, { key: KEY, value: VALUE })),
  ...work,
};
const GET: Load = {
  path: '/etcdserverpb.KV/Range',
  message: toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: KEY })),
  ...work,
};

interface Sample {
  readonly rate: number;
  /** CPU microseconds of the contestant's own process, by request. */
  readonly cpu: number;
}

async function measure(contestant: Contestant, load: Load): Promise<Sample> {
  const before = cpuSeconds(contestant.pid);
  const rate = await h2load(contestant.address, load);
  return { rate, cpu: ((cpuSeconds(contestant.pid) - before) / load.requests) * 1e6 };
}

async function compare(contestants: Contestants, load: Load): Promise<Map<Contestant, Sample>> {
  const all = [contestants.etcd, contestants.incumbent, contestants.ours];
  const samples = new Map(all.map((contestant) => [contestant, [] as Sample[]]));
  for (const contestant of all)
    await h2load(contestant.address, { ...load, requests: Math.ceil(REQUESTS / 4) });
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of all) samples.get(contestant)?.push(await measure(contestant, load));
  }
  return new Map(
    [...samples].map(([contestant, taken]) => [
      contestant,
      { rate: median(taken.map(({ rate }) => rate)), cpu: median(taken.map(({ cpu }) => cpu)) },
    ]),
  );
}

function rows(title: string, contestants: Contestants, results: Map<Contestant, Sample>): string[] {
  const base = results.get(contestants.incumbent) as Sample;
  return [...results].map(([{ name }, { rate, cpu }]) => {
    const ratios = [rate / base.rate, cpu / base.cpu].map((ratio) => `${ratio.toFixed(2)}x`);
    return `| ${title} | ${name} | ${Math.round(rate)} | ${ratios[0]} | ${cpu.toFixed(1)} | ${ratios[1]} |`;
  });
}

await using contestants = await startContestants();
const table = [
  '| work | server | requests/s | vs grpc-proxy | CPU µs/request | vs grpc-proxy |',
  '| --- | --- | --- | --- | --- | --- |',
];
for (const [title, load] of [
  ['put', PUT],
  ['linearizable get', GET],
] as const) {
  table.push(...rows(title, contestants, await compare(contestants, load)));
}
const setup = `etcd ${contestants.version}; h2load with 8 connections x 16 streams, ${REQUESTS} requests, 260-byte values; median of ${ROUNDS} rounds in turns.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('Forwarded unary calls', 'npm run bench:unary', setup, table);
