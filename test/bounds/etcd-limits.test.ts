/**
 * Where etcd draws the line, etcd does it through the proxy as well: sizes of messages and of metadata, direct and
 * through the proxy, on old and new etcds.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { Hoarder } from '../streams/hoarder.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';

const MIB = 1 << 20;
const LIMIT_MS = 60_000;

interface Call {
  readonly name: string;
  readonly path: string;
  readonly message: Uint8Array;
  readonly fields?: readonly string[];
  /** The client goes on after its message. */
  readonly open?: boolean;
}

const value = (size: number): Buffer => Buffer.alloc(size, 7);

function putOf(size: number): Call {
  const empty = toBinary(
    PutRequestSchema,
    create(PutRequestSchema, { key: b('k'), value: value(size) }),
  ).length;
  const request = create(PutRequestSchema, { key: b('k'), value: value(2 * size - empty) });
  return {
    name: `a put of ${size} bytes`,
    path: '/etcdserverpb.KV/Put',
    message: toBinary(PutRequestSchema, request),
  };
}

function txnOf(size: number): Call {
  const success = [{ request: { case: 'requestPut' as const, value: { key: b('k'), value: value(size) } } }];
  const message = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success }));
  return { name: `a transaction of ${size} bytes`, path: '/etcdserverpb.KV/Txn', message };
}

function watchOf(size: number): Call {
  const requestUnion = { case: 'createRequest' as const, value: { key: value(size) } };
  const message = toBinary(WatchRequestSchema, create(WatchRequestSchema, { requestUnion }));
  return { name: `a watch of ${size} bytes`, path: '/etcdserverpb.Watch/Watch', message, open: true };
}

function rangeOf(size: number): Call {
  const message = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: value(size) }));
  return { name: `a range of ${size} bytes`, path: '/etcdserverpb.KV/Range', message };
}

function withMetadata(name: string, size: number, parts = 1): Call {
  const fields = Array.from({ length: parts }, (_, i) => [
    parts === 1 ? name : `${name}-${i}`,
    'x'.repeat(size / parts),
  ]).flat();
  return { ...rangeOf(1), name: `${size} bytes of metadata, ${name}, in ${parts}`, fields };
}

/** How a call ends. */
async function endOf(address: string, { path, message, fields, open }: Call): Promise<string> {
  using client = await Hoarder.open(address);
  client.begin(path, [message], open !== true, fields);
  await until(
    () => `an end (${client.lost ?? 'connected'})`,
    () => client.ends.size > 0,
    LIMIT_MS,
  );
  return [...client.ends.keys()][0] as string;
}

/** etcd's default, and what it takes in beside it. */
const REQUEST = 1.5 * MIB;
const TAKEN = REQUEST + 512 * 1024;

const CALLS: readonly Call[] = [
  ...[REQUEST - 100, REQUEST + 1, 1_600_000, TAKEN, TAKEN + 1, 3_000_000, 20_000_000].map(putOf),
  ...[1_600_000, 3_000_000].map(txnOf),
  ...[1_600_000, 3_000_000].map(rangeOf),
  ...[3_000_000].map(watchOf),
  ...[70_000, 500_000, 1_000_000].map((size) => withMetadata('x-large', size)),
  withMetadata('token', 70_000),
  withMetadata('authorization', 900_000),
  withMetadata('x-many', 600_000, 100),
];

for (const install of await outerEtcds()) {
  describe(`limits are those of etcd ${install.version}`, () => {
    test('by default', async () => {
      await using etcd = await startEtcd({ install });
      await using proxy = await startProxy({ endpoints: etcd.endpoints });
      for (const call of CALLS) {
        const direct = await endOf(etcd.first.address, call);
        assert.equal(await endOf(proxy.address, call), direct, call.name);
      }
    });

    test('where it takes more', async () => {
      await using etcd = await startEtcd({ install, maxRequestBytes: 8 * MIB });
      await using proxy = await startProxy({ endpoints: etcd.endpoints });
      for (const call of [putOf(2_000_000), putOf(8 * MIB - 100), putOf(8 * MIB + 1), putOf(9 * MIB)]) {
        const direct = await endOf(etcd.first.address, call);
        assert.equal(await endOf(proxy.address, call), direct, call.name);
      }
    });
  });
}

test('what the flags say is kept', async () => {
  await using etcd = await startEtcd();
  const flags = ['--max-send-bytes=100000', '--max-metadata-bytes=50000', '--max-concurrent-streams=3'];
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
  assert.match(await endOf(proxy.address, putOf(100_001)), /^8 trying to send message larger than max/);
  assert.match(await endOf(proxy.address, withMetadata('x-large', 60_000)), /431/);
  assert.equal(await endOf(proxy.address, withMetadata('x-large', 40_000)), '0');
  using client = await Hoarder.open(proxy.address);
  const { path, message } = rangeOf(1);
  for (let i = 0; i < 3; i++) client.begin(path, [message], false);
  assert.throws(() => client.begin(path, [message], false), /no stream can be opened/);
});
