/**
 * `npm run bench:reads`: many clients that read the same, from etcd, through its own grpc-proxy (which caches
 * serializable reads) and through this proxy, in turns in one run. Writes docs/benchmarks.md. `BENCH_BEFORE`, the launcher
 * of an earlier build, compares with that, in less than a minute; keys that are read once are left out then unless
 * `BENCH_KEYS` says how many. `BENCH_REQUESTS` and `BENCH_ROUNDS` set how much is measured.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { startProxy } from '../test/support/proxy.ts';
import { compare, FEWER_REQUESTS, ROUNDS, TABLE_HEAD } from './support/compare.ts';
import { BEFORE, startContestants } from './support/contestants.ts';
import { compareDistinct, DISTINCT_HEAD } from './support/distinct.ts';
import { h2load, type Load } from './support/h2load.ts';
import { writeSection } from './support/report.ts';

/** Many, since they are quick: CPU time is counted in hundredths of a second. */
const HOT_REQUESTS = FEWER_REQUESTS * 4;

const KEY = Buffer.from('bench/key');
const VALUE = Buffer.alloc(260, 'v');

function get(serializable: boolean, connections: number, streams: number): Load {
  const message = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: KEY, serializable }));
  return { path: '/etcdserverpb.KV/Range', message, requests: HOT_REQUESTS, connections, streams };
}

const LOADS: readonly (readonly [title: string, load: Load])[] = [
  ['linearizable get, one hot key', get(false, 8, 16)],
  ['serializable get, one hot key', get(true, 8, 16)],
];

await using contestants = await startContestants();
const put = toBinary(PutRequestSchema, create(PutRequestSchema, { key: KEY, value: VALUE }));
await h2load(contestants.etcd.address, {
  path: '/etcdserverpb.KV/Put',
  message: put,
  requests: 1,
  connections: 1,
  streams: 1,
});
const table = [...TABLE_HEAD];
for (const [title, load] of LOADS) table.push(...(await compare(title, contestants, load)));
if (BEFORE === undefined || process.env.BENCH_KEYS !== undefined) {
  await using plain = await startProxy({ endpoints: [contestants.etcd.address], flags: ['--cache=off'] });
  const { address, process: plainProcess } = plain;
  const { writes } = contestants.etcd;
  const forwarding = { name: 'etcd-connect-proxy --cache=off', address, writes, pid: plainProcess.pid };
  table.push('', ...DISTINCT_HEAD);
  table.push(...(await compareDistinct([contestants.incumbent, forwarding, contestants.ours])));
}
const setup = `etcd ${contestants.version}; h2load with 8 connections x 16 streams, ${HOT_REQUESTS} requests for one key with a value of 260 bytes; median of ${ROUNDS} rounds in turns. Keys read once: serializable, 128 at a time on one connection, in ten turns.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('Reads', 'npm run bench:reads', setup, table);
