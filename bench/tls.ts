/**
 * `npm run bench:tls`: forwarded linearizable gets with TLS on both sides, and a storm of new connections, through
 * etcd's own grpc-proxy and through this proxy, in turns in one run. Prints a table and writes it into
 * docs/benchmarks.md. Ratios mean more than absolute numbers. `BENCH_STORM=0` leaves the storm out.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type Contestant, startContestants } from './support/contestants.ts';
import { cpuSeconds, median } from './support/cpu.ts';
import { h2load, type Load } from './support/h2load.ts';
import { writeSection } from './support/report.ts';
import { makeTls } from './support/tls-files.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 40_000);
const STORM = Number(process.env.BENCH_STORM ?? 2000);

const GET: Load = {
  path: '/etcdserverpb.KV/Range',
  message: toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: Buffer.from('bench/key') })),
  requests: REQUESTS,
  connections: 8,
  streams: 16,
  tls: true,
};
/** Every request on a connection of its own, all at once. */
const CONNECTIONS: Load = { ...GET, requests: STORM, connections: STORM, streams: 1 };

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

async function compare(title: string, all: readonly Contestant[], load: Load): Promise<string[]> {
  const samples = new Map(all.map((contestant) => [contestant, [] as Sample[]]));
  for (const contestant of all) await h2load(contestant.address, { ...GET, requests: REQUESTS / 4 });
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of all) samples.get(contestant)?.push(await measure(contestant, load));
  }
  const medians = all.map((contestant) => {
    const taken = samples.get(contestant) ?? [];
    return { rate: median(taken.map(({ rate }) => rate)), cpu: median(taken.map(({ cpu }) => cpu)) };
  });
  const base = medians[1] as Sample;
  return all.map(({ name }, index) => {
    const { rate, cpu } = medians[index] as Sample;
    const ratios = [rate / base.rate, cpu / base.cpu].map((ratio) => `${ratio.toFixed(2)}x`);
    return `| ${title} | ${name} | ${Math.round(rate)} | ${ratios[0]} | ${cpu.toFixed(1)} | ${ratios[1]} |`;
  });
}

// equal gets would share calls to etcd; here each of them is to be forwarded
await using contestants = await startContestants((await makeTls()).tls, ['--read-coalescing=off']);
const all = [contestants.etcd, contestants.incumbent, contestants.ours];
const table = [
  '| work | server | requests/s | vs grpc-proxy | CPU µs/request | vs grpc-proxy |',
  '| --- | --- | --- | --- | --- | --- |',
  ...(await compare('linearizable get', all, GET)),
  ...(STORM > 0 ? await compare(`${STORM} new connections, one get each`, all, CONNECTIONS) : []),
];
const setup = `etcd ${contestants.version}, TLS 1.3 with P-256 certificates on both sides; h2load with 8 connections x 16 streams, ${REQUESTS} requests, and with ${STORM} connections at once; median of ${ROUNDS} rounds in turns.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('TLS on both sides', 'npm run bench:tls', setup, table);
