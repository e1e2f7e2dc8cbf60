/**
 * `npm run bench:unary`: forwarded gets and puts through etcd's own grpc-proxy and through this proxy, in turns in
 * one run. Prints a table and writes it into docs/benchmarks.md. Ratios mean more than absolute numbers.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { compare, REQUESTS, ROUNDS, TABLE_HEAD } from './support/compare.ts';
import { startContestants } from './support/contestants.ts';
import type { Load } from './support/h2load.ts';
import { writeSection } from './support/report.ts';

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

// equal gets would share calls to etcd; here each of them is to be forwarded
await using contestants = await startContestants(undefined, ['--read-coalescing=off']);
const table = [...TABLE_HEAD];
for (const [title, load] of [
  ['put', PUT],
  ['linearizable get', GET],
] as const) {
  table.push(...(await compare(title, contestants, load)));
}
const setup = `etcd ${contestants.version}; h2load with 8 connections x 16 streams, ${REQUESTS} requests, 260-byte values; median of ${ROUNDS} rounds in turns.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('Forwarded unary calls', 'npm run bench:unary', setup, table);
