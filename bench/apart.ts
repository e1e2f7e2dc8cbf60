/**
 * `npm run bench:apart`: over TLS, ten readers of 10 MB in a loop, and beside them another client's watch and heartbeats,
 * with etcd itself, through etcd's grpc-proxy and through this proxy, in turns in one run, for each release at hand. Prints
 * a table and writes it into docs/benchmarks.md.
 */
import { readFileSync } from 'node:fs';
import { create, toBinary } from '@bufbuild/protobuf';
import { credentials } from '@grpc/grpc-js';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { LeaseGrantRequestSchema, LeaseKeepAliveRequestSchema } from '#gen/etcdserverpb/lease_pb.js';
import { availableEtcds } from '../test/support/etcd.ts';
import { RawGrpcClient } from '../test/support/raw-grpc.ts';
import { b, put, WatchCall } from '../test/support/watch-client.ts';
import { type Contestant, startContestants } from './support/contestants.ts';
import { h2load, type Load } from './support/h2load.ts';
import { writeSection } from './support/report.ts';
import { makeTls } from './support/tls-files.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
/** Reads of 10 MB in a round. */
const READS = Number(process.env.BENCH_REQUESTS ?? 100);
const MB = 1_000_000;
const LIMIT_MS = 30_000;
/** A name, since TLS does not send addresses. */
const FOR_LOCALHOST = { 'grpc.ssl_target_name_override': 'localhost' };
const VERSIONS = process.env.BENCH_ETCD?.split(',');

const range = create(RangeRequestSchema, { key: b('large/'), rangeEnd: b('large0') });
const LARGE: Load = {
  path: '/etcdserverpb.KV/Range',
  message: toBinary(RangeRequestSchema, range),
  requests: READS,
  connections: 10,
  streams: 1,
  tls: true,
};
const heartbeat = toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID: 7n }));

/** What was measured of one contestant: milliseconds of each event and heartbeat, and MB/s of each round of reads. */
class Sample {
  readonly events: number[] = [];
  readonly heartbeats: number[] = [];
  readonly rates: number[] = [];

  row(version: string, { name }: Contestant): string {
    const pair = (all: number[]) => `${at(all, 0.5)} / ${at(all, 0.99)} / ${at(all, 1)}`;
    const rate = Math.round((this.rates.reduce((sum, each) => sum + each, 0) / this.rates.length) * 10);
    return `| ${version} | ${name} | ${pair(this.events)} | ${pair(this.heartbeats)} | ${rate} |`;
  }
}

function at(all: readonly number[], part: number): string {
  const sorted = all.toSorted((x, y) => x - y);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(1);
}

/** One round: the reads, and beside them puts straight to etcd that the watch is told of, and heartbeats. */
async function round(client: RawGrpcClient, etcd: RawGrpcClient, contestant: Contestant, sample: Sample) {
  const watch = new WatchCall(client);
  await watch.created({ key: b('seen') });
  // The incumbent says that a watch is created before etcd has it.
  for (let told = false; !told; ) {
    await put(etcd, 'seen', 'first');
    told = await watch.revisions(1, 1000).then(
      () => true,
      () => false,
    );
  }
  const heartbeats = client.open('/etcdserverpb.Lease/LeaseKeepAlive');
  let reading = true;
  const reads = h2load(contestant.address, LARGE).finally(() => {
    reading = false;
  });
  const follow = async (): Promise<void> => {
    while (reading) {
      const begun = performance.now();
      const revision = await put(etcd, 'seen', 'v', { timeoutMs: LIMIT_MS });
      while (((await watch.revisions(1, LIMIT_MS)).at(-1) ?? 0) < revision);
      sample.events.push(performance.now() - begun);
    }
  };
  const beat = async (): Promise<void> => {
    while (reading) {
      const begun = performance.now();
      heartbeats.send(heartbeat);
      await heartbeats.next(LIMIT_MS);
      sample.heartbeats.push(performance.now() - begun);
    }
  };
  const [rate] = await Promise.all([reads, follow(), beat()]);
  sample.rates.push(rate);
  watch.close();
  heartbeats.cancel();
}

async function compare(version: string, all: readonly Contestant[], caFile: string): Promise<string[]> {
  const security = credentials.createSsl(readFileSync(caFile));
  using clients = new DisposableStack();
  const clientOf = ({ address }: Contestant) =>
    clients.use(new RawGrpcClient(address, FOR_LOCALHOST, security));
  const etcd = clientOf(all[0] as Contestant);
  const grant = create(LeaseGrantRequestSchema, { ID: 7n, TTL: 3600n });
  await etcd.call('/etcdserverpb.Lease/LeaseGrant', [toBinary(LeaseGrantRequestSchema, grant)]);
  for (let i = 0; i < 10; i++) await put(etcd, `large/${i}`, 'x'.repeat(MB));
  const samples = all.map((contestant) => ({
    contestant,
    client: clientOf(contestant),
    sample: new Sample(),
  }));
  for (let i = 0; i < ROUNDS; i++)
    for (const { contestant, client, sample } of samples) await round(client, etcd, contestant, sample);
  return samples.map(({ contestant, sample }) => sample.row(version, contestant));
}

const { tls, caFile } = await makeTls();
const table = [
  '| etcd | server | event ms, p50 / p99 / most | heartbeat ms, p50 / p99 / most | reads MB/s |',
  '| --- | --- | --- | --- | --- |',
];
for (const install of await availableEtcds()) {
  if (VERSIONS !== undefined && !VERSIONS.includes(install.version)) continue;
  // equal reads would share calls to etcd; here each of them is to be forwarded
  await using contestants = await startContestants({ ...tls, install }, ['--read-coalescing=off']);
  const { etcd, incumbent, ours } = contestants;
  table.push(...(await compare(install.version, [etcd, incumbent, ours], caFile)));
}
const setup = `TLS on both sides; ten connections (h2load) that read 10 MB again and again, ${READS} times in a round, and one client with a watch and heartbeats one after the other; the event's time is from its put, straight to etcd. ${ROUNDS} rounds in turns.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('What tells beside large replies', 'npm run bench:apart', setup, table);
