/** What is heavy for an etcd, and how much more of it may cost through the proxy. */
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { LONG } from '../../support/releases.ts';
import { b, type Create, put, remove } from '../../support/watch-client.ts';
import {
  AS_DIRECT,
  BYTES,
  CALLS,
  CPU,
  FEEDS_A_STREAM,
  FEW,
  KIB,
  type LoadCase,
  most,
  SHARED,
} from './case.ts';
import { fill, otherClient, putEach, remember, since } from './clients.ts';
import { lags, pastDelete, unread } from './heavy.ts';
import { MIRRORED } from './stage.ts';

const KEYS = LONG ? 30_000 : 1000;
const key = (i: number): string => `keys/${String(i).padStart(6, '0')}`;
const keys: readonly Create[] = Array.from({ length: KEYS }, (_, i) => ({ key: b(key(i)) }));

const differentKeys: LoadCase = {
  name: `${KEYS} different keys watched on one client stream, one put each`,
  run: async (stage) => {
    const crowd = await stage.crowd(1, () => keys);
    await stage.hold();
    await putEach(
      stage,
      keys.map((_, i) => key(i)),
    );
    await crowd.events(KEYS);
  },
  bounds: { ...AS_DIRECT, streams: most(0, FEW + KEYS / FEEDS_A_STREAM) },
};

const CLIENTS = LONG ? 2000 : 200;
const oneKey: LoadCase = {
  name: `${CLIENTS} clients on one key, 50 puts of 4 KiB`,
  run: async (stage) => {
    const crowd = await stage.crowd(CLIENTS, () => [{ key: b('one') }]);
    await stage.hold();
    for (let i = 1; i <= 50; i++) {
      await put(stage.direct, 'one', 'v'.repeat(4 * KIB));
      await crowd.events(i * CLIENTS);
    }
  },
  // What is put goes past the proxy on both sides.
  bounds: { ...SHARED, received: most(1.1, BYTES) },
};

const DELETED = LONG ? 50_000 : 12_000;
const deleted = Array.from({ length: DELETED }, (_, i) => `deleted/${String(i).padStart(32, '0')}`);
const deletes: LoadCase = {
  name: `a delete of ${DELETED} keys of 40 bytes under a watched prefix`,
  prepare: ({ direct }) => fill(direct, deleted),
  run: async (stage) => {
    const crowd = await stage.crowd(1, () => [{ key: b('deleted/'), rangeEnd: b('deleted0') }]);
    await stage.hold();
    await remove(stage.direct, 'deleted/', 'deleted0');
    await crowd.events(DELETED);
  },
  bounds: AS_DIRECT,
};

const REVISIONS = 1000;
const past: LoadCase = {
  name: `50 clients that watch one prefix from ${REVISIONS} revisions ago`,
  prepare: async (stage) => {
    await remember(stage);
    await putEach(
      stage,
      Array.from({ length: REVISIONS }, (_, i) => `past/${i % 100}`),
      'v'.repeat(KIB),
    );
  },
  run: async (stage) => {
    const startRevision = since(stage);
    const crowd = await stage.crowd(50, () => [{ key: b('past/'), rangeEnd: b('past0'), startRevision }]);
    await crowd.events(50 * REVISIONS);
    await stage.hold();
  },
  bounds: SHARED,
};

const PAST_KEYS = LONG ? 10_000 : 500;
const pastKeys = Array.from({ length: PAST_KEYS }, (_, i) => `late/${i}`);
const pastOfKeys: LoadCase = {
  name: `${PAST_KEYS} different keys watched from the past on one client stream`,
  prepare: async (stage) => {
    await remember(stage);
    await putEach(stage, pastKeys);
  },
  run: async (stage) => {
    const startRevision = since(stage);
    const crowd = await stage.crowd(1, () => pastKeys.map((name) => ({ key: b(name), startRevision })));
    await crowd.events(PAST_KEYS);
    await stage.hold();
    await putEach(stage, pastKeys);
    await crowd.events(2 * PAST_KEYS);
  },
  // Each is a watch of the past, and then of the present.
  bounds: {
    ...AS_DIRECT,
    cpu: most(2.5, CPU),
    streams: most(0, FEW + PAST_KEYS / FEEDS_A_STREAM),
    sent: most(3, BYTES),
    received: most(3, BYTES),
  },
};

const mirrored: LoadCase = {
  name: '20 streams that demand a leader, each with a prefix inside the mirrored one',
  run: async (stage) => {
    const client = stage.client();
    const watches = Array.from({ length: 20 }, () =>
      stage.watch(client, { metadata: { hasleader: 'true' } }),
    );
    for (const [i, watch] of watches.entries())
      await watch.created({
        key: b(`${MIRRORED}${i}/`),
        rangeEnd: b(`${MIRRORED}${i}0`),
        prevKv: true,
        progressNotify: true,
      });
    await stage.hold();
    await putEach(
      stage,
      watches.map((_, i) => `${MIRRORED}${i}/a`),
    );
    for (const watch of watches) await watch.revisions(1);
  },
  // The leader has a stream of its own, without a watch.
  bounds: { ...SHARED, watchers: most(0, 0), streams: most(0, 1), sent: most(1, BYTES) },
};

const CHURNS = 4;
const churn: LoadCase = {
  name: `${KEYS} watches of different keys on one client stream, created and cancelled ${CHURNS} times`,
  run: async (stage) => {
    const crowd = await stage.crowd(1, () => keys);
    const { counts } = crowd;
    const [stream] = crowd.streams;
    for (let round = 1; round <= CHURNS; round++) {
      for (let id = 0; id < KEYS; id++) stream?.unwatch(BigInt((round - 1) * KEYS + id));
      await crowd.reach(() => counts.canceled === round * KEYS);
      for (const wish of keys) stream?.watch(wish);
      await crowd.reach(() => counts.created === (round + 1) * KEYS);
    }
    await stage.hold();
    await putEach(
      stage,
      keys.map((_, i) => key(i)),
    );
    await crowd.events(KEYS);
  },
  // A stream with much churn is replaced, and what lives on it is moved. Some requests find no question under way that they
  // could share.
  bounds: {
    ...AS_DIRECT,
    cpu: most(2.5, CPU),
    streams: most(0, FEW + (2 * KEYS) / FEEDS_A_STREAM),
    calls: most(1, CALLS + (2 * CHURNS * KEYS) / 100),
  },
};

const READS = LONG ? 20_000 : 1500;
const reads: LoadCase = {
  name: `${READS} linearizable reads of one key of 4 KiB, 300 at a time`,
  prepare: async ({ direct }) => void (await put(direct, 'read', 'v'.repeat(4 * KIB))),
  run: async (stage) => {
    const client = stage.client();
    const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b('read') }));
    for (let i = 0; i < READS; i += 300)
      await Promise.all(
        Array.from({ length: 300 }, async () => {
          const { code, message } = await client.call('/etcdserverpb.KV/Range', [request]);
          if (code !== 0) throw new Error(`${code} ${message}`);
        }),
      );
    await stage.hold();
  },
  bounds: { ...SHARED, calls: most(0.2, CALLS), sent: most(0.2, BYTES), received: most(0.5, BYTES) },
};

const LIMITED_KEYS = 2000;
const fewStreams: LoadCase = {
  name: `${LIMITED_KEYS} different keys, one put each, and another client beside them`,
  run: async (stage) => {
    const wishes = Array.from({ length: LIMITED_KEYS }, (_, i) => ({ key: b(key(i)) }));
    const crowd = await stage.crowd(1, () => wishes);
    await stage.hold();
    await otherClient(stage);
    await putEach(
      stage,
      wishes.map((_, i) => key(i)),
    );
    await crowd.events(LIMITED_KEYS);
  },
  bounds: { ...AS_DIRECT, streams: most(0, FEW + LIMITED_KEYS / FEEDS_A_STREAM) },
};

/** By the flags of their etcd. A small limit of requests makes its fragments small. */
export const LOAD_CASES: readonly {
  readonly name: string;
  readonly args: readonly string[];
  readonly cases: readonly LoadCase[];
}[] = [
  {
    name: 'as usual',
    args: ['--max-request-bytes=65536'],
    cases: [differentKeys, oneKey, deletes, past, pastOfKeys, mirrored, churn, reads, pastDelete, ...lags],
  },
  {
    name: 'with 100 streams a connection',
    args: ['--max-concurrent-streams=100'],
    cases: [fewStreams, ...unread],
  },
];
