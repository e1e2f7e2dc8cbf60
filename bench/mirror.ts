/**
 * The second half of `npm run bench:reads`: linearizable reads of many keys, from etcd, through its own grpc-proxy and
 * through this proxy with the keys' prefix in memory, in turns in one run. Writes docs/benchmarks.md. What can be set is in
 * `reads.ts`.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { compareWork, FEWER_REQUESTS, ROUNDS, TABLE_HEAD, type Work } from './support/compare.ts';
import { startContestants } from './support/contestants.ts';
import { type KeyLoad, keyLoad } from './support/key-load.ts';
import { writeSection } from './support/report.ts';

const PREFIX = 'bench/many/';
const RANGE = '/etcdserverpb.KV/Range';
const CONNECTIONS = 8;
const STREAMS = 16;
const KEYS = 10_000;
const SHORT = Buffer.alloc(260, 'v');
/** The keys of the large range, and its end. */
const LISTED = 1000;
const LIST = 'bench/list/';
const LONG = Buffer.alloc(256, 'v');

const keyOf = (prefix: string, index: number): Buffer =>
  Buffer.from(`${prefix}${String(index).padStart(6, '0')}`);
const range = (key: Uint8Array, rangeEnd = new Uint8Array()): Uint8Array =>
  toBinary(RangeRequestSchema, create(RangeRequestSchema, { key, rangeEnd }));
const put = (key: Uint8Array, value: Uint8Array): Uint8Array =>
  toBinary(PutRequestSchema, create(PutRequestSchema, { key, value }));
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

function work(load: Pick<KeyLoad, 'messages' | 'minReply'>, requests: number, streams: number): Work {
  const all = { ...load, path: RANGE, connections: CONNECTIONS, streams };
  return { requests, run: (address, count) => keyLoad(address, { ...all, requests: count }) };
}

const flags = ['--cache-prefix=bench/many/,bench/list/'];
await using contestants = await startContestants(undefined, flags);
const puts = [
  ...times(KEYS, (i) => put(keyOf(PREFIX, i), SHORT)),
  ...times(LISTED, (i) => put(keyOf(LIST, i), LONG)),
];
await keyLoad(contestants.etcd.address, {
  path: '/etcdserverpb.KV/Put',
  messages: puts,
  requests: puts.length,
  connections: CONNECTIONS,
  streams: STREAMS,
  minReply: 1,
});
const table = [
  ...TABLE_HEAD,
  ...(await compareWork(
    `linearizable get, ${KEYS} keys`,
    contestants,
    work(
      { messages: times(KEYS, (i) => range(keyOf(PREFIX, (i * 7919) % KEYS))), minReply: SHORT.length },
      FEWER_REQUESTS,
      STREAMS,
    ),
  )),
  ...(await compareWork(
    `linearizable range of ${LISTED} keys of ${LONG.length} bytes`,
    contestants,
    work(
      { messages: [range(Buffer.from(LIST), Buffer.from('bench/list0'))], minReply: LISTED * LONG.length },
      Math.ceil(FEWER_REQUESTS / 20),
      1,
    ),
  )),
];
const setup = `etcd ${contestants.version}; ${CONNECTIONS} connections x ${STREAMS} streams for single keys with values of ${SHORT.length} bytes, ${CONNECTIONS} x 1 for the range; \`${flags}\`; median of ${ROUNDS} rounds in turns.`;
process.stdout.write(`${setup}\n\n${table.join('\n')}\n`);
await writeSection('Mirrored prefixes', 'npm run bench:reads', setup, table);
