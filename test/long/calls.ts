/** Hostile and impatient calls in well-formed gRPC. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { GRPC_ATTACKS } from '../../bench/support/grpc-attacks.ts';
import { HOARDS, hoard } from '../../bench/support/hoards.ts';
import { COMPARISONS } from '../../bench/support/read-attacks.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';
import type { Assault } from './assault.ts';

const RANGE = '/etcdserverpb.KV/Range';
/** So many at once take less than the 64 KiB that are assured to a connection, however much others hold. */
const IMPATIENT = 12;
const IMPATIENT_PAUSE_MS = 60;
const STREAMS = 10_300;
const BATCH = 500;
const LIMIT_MS = 60_000;

const get = (key: string): Uint8Array =>
  toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b(key) }));

/** One that uses a client of its own in each round. */
const withClient =
  (play: (client: RawGrpcClient) => Promise<number>): Assault['round'] =>
  async (address) => {
    using client = new RawGrpcClient(address);
    return await play(client);
  };

const many = <T>(count: number, make: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => make(i)));

const comparisons: Assault = {
  name: '128 comparisons over many keys',
  pauseMs: 30_000, // etcd works at each for seconds
  round: withClient(async (client) => {
    const { code, message } = await client.call('/etcdserverpb.KV/Txn', [COMPARISONS], {
      limitMs: LIMIT_MS,
    });
    assert.equal(code, 0, message);
    return 1;
  }),
};

const cancelled: Assault = {
  name: 'gets that are cancelled',
  pauseMs: IMPATIENT_PAUSE_MS,
  round: withClient(async (client) => {
    await many(IMPATIENT, async (i) => {
      const call = client.open(RANGE);
      call.send(get(`cancelled/${i}`));
      call.halfClose();
      await sleep(i % 10);
      call.cancel();
      const { code } = await call.end;
      assert.ok(code === 0 || code === 1, `ended with ${code}`);
    });
    return IMPATIENT;
  }),
};

const deadlines: Assault = {
  name: 'gets with short deadlines',
  pauseMs: IMPATIENT_PAUSE_MS,
  round: withClient(async (client) => {
    await many(IMPATIENT, async (i) => {
      const options = { timeoutMs: 1 + (i % 20), limitMs: LIMIT_MS };
      const { code } = await client.call(RANGE, [get(`deadline/${i}`)], options);
      assert.ok(code === 0 || code === 4, `ended with ${code}`);
    });
    return IMPATIENT;
  }),
};

const manyStreams: Assault = {
  name: 'very many watch streams on one connection',
  pauseMs: 10_000,
  async round(address) {
    using connection = await LoadConnection.open(address);
    const counts = new LoadCounts();
    for (let open = 0; open < STREAMS; ) {
      const until = Math.min(STREAMS, open + BATCH);
      for (; open < until; open++) new LoadStream(connection, counts, [{ key: b('crowd') }]);
      await counts.reach(() => counts.created + counts.ended >= until, LIMIT_MS);
      await sleep(50);
    }
    // Where others hold very much already, there is no memory for as many as these.
    assert.equal(counts.ended, 0, `${counts.ended} of ${STREAMS} were refused`);
    return STREAMS;
  },
};

/** Every one of them. */
export const CALL_ASSAULTS: readonly Assault[] = [
  ...GRPC_ATTACKS.map(({ name, round }) => ({
    name,
    pauseMs: 2000,
    round: withClient(async (client) => {
      await round(client);
      return 10;
    }),
  })),
  comparisons,
  cancelled,
  deadlines,
  manyStreams,
  ...HOARDS.map((one) => ({
    name: one.name,
    pauseMs: one.end ? 1000 : 5000,
    round: (address: string) => hoard(address, one),
  })),
];
