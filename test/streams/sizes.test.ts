/** Messages of every size, up to 64 MiB, to etcd and back through the proxy: unary replies, requests and watch events. */
import assert from 'node:assert/strict';
import { createHash, randomFillSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, WatchCall } from '../support/watch-client.ts';

const MIB = 1 << 20;
/** Around the ends of a frame, of the windows that HTTP/2 begins with, and of the ones that the proxy offers. */
const SIZES = [0, 1, 2047, 2049, 16_379, 16_384, 16_385, 65_535, 65_536, MIB - 1, MIB + 1, 4 * MIB, 16 * MIB];
const LARGEST = 64 * MIB;
/** Above the largest value with its envelope and key. */
const LIMIT = LARGEST + MIB;
const LIMIT_MS = 120_000;

function digest(value: Uint8Array): string {
  return createHash('sha256').update(value).digest('hex');
}

describe('messages of all sizes', () => {
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  let client: RawGrpcClient;
  before(async () => {
    etcd = await startEtcd({ maxRequestBytes: LIMIT, quotaBackendBytes: 2048 * MIB });
    proxy = await startProxy({
      endpoints: etcd.endpoints,
      flags: [`--max-send-bytes=${LIMIT}`, `--max-recv-bytes=${3 * LIMIT}`],
    });
    client = new RawGrpcClient(proxy.address);
  });
  after(async () => {
    client?.close();
    await proxy?.stop();
    await etcd?.stop();
  });

  async function put(key: string, value: Uint8Array): Promise<void> {
    const request = toBinary(PutRequestSchema, create(PutRequestSchema, { key: b(key), value }));
    const { code, message } = await client.call('/etcdserverpb.KV/Put', [request], { limitMs: LIMIT_MS });
    assert.deepEqual([code, message], [0, '']);
  }

  async function read(key: string, rangeEnd = ''): Promise<Uint8Array[]> {
    const range = create(RangeRequestSchema, { key: b(key), rangeEnd: b(rangeEnd) });
    const request = toBinary(RangeRequestSchema, range);
    const outcome = await client.call('/etcdserverpb.KV/Range', [request], { limitMs: LIMIT_MS });
    assert.deepEqual([outcome.code, outcome.message], [0, '']);
    return fromBinary(RangeResponseSchema, outcome.messages[0] as Uint8Array).kvs.map(({ value }) => value);
  }

  test('a request without a single byte', async () => {
    const { code, messages } = await client.call('/etcdserverpb.Maintenance/Status', [Buffer.alloc(0)]);
    assert.equal(code, 0);
    assert.ok((messages[0] as Uint8Array).length > 0);
  });

  for (const size of [...SIZES, LARGEST]) {
    test(`a value of ${size} bytes is written, read and watched`, async () => {
      const value = randomFillSync(Buffer.alloc(size));
      const key = `size/${String(size).padStart(9, '0')}`;
      const watch = new WatchCall(client);
      await watch.created({ key: b(key) });
      await put(key, value);
      const [got, ...more] = await read(key);
      assert.equal(more.length, 0);
      assert.equal(digest(got as Uint8Array), digest(value));
      const { events } = await watch.must(LIMIT_MS);
      assert.equal(digest(events[0]?.kv?.value as Uint8Array), digest(value));
      watch.close();
    });
  }

  test('a range whose reply is larger than all of them', async () => {
    const values = await read('size/', 'size0');
    assert.deepEqual(
      values.map(({ length }) => length),
      [...SIZES, LARGEST],
    );
  });

  test('a request over the limit is refused, and the connection goes on', async () => {
    const value = Buffer.alloc(LIMIT);
    const request = toBinary(PutRequestSchema, create(PutRequestSchema, { key: b('k'), value }));
    const { code } = await client.call('/etcdserverpb.KV/Put', [request], { limitMs: LIMIT_MS });
    assert.equal(code, 8);
    await put('k', Buffer.alloc(1));
  });
});
