/**
 * What is known to go wrong with the reads of etcd's own grpc-proxy, by the numbers of our research, done here:
 * a write of any kind, by any way, and then many reads at once, of which none may tell the past.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { RangeRequestSchema, RangeResponseSchema, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { residentBytes } from '../streams/raw-stream.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { bytes, clientOf, type KvClient, lightClientOf } from './clients.ts';

type RangeFields = MessageInitShape<typeof RangeRequestSchema>;

describe('defects of the incumbent', () => {
  const held = new AsyncDisposableStack();
  let etcd: EtcdCluster;
  let proxy: RunningProxy;
  let direct: KvClient;
  let through: KvClient;
  let raw: RawGrpcClient;
  before(async () => {
    etcd = held.use(await startEtcd());
    proxy = held.use(await startProxy({ endpoints: etcd.endpoints }));
    direct = clientOf(etcd.first.address);
    through = clientOf(proxy.address);
    raw = held.use(new RawGrpcClient(proxy.address));
  });
  after(() => held.disposeAsync());

  /** Reads at once, both ways; every answer must be the one etcd gives. */
  async function assertCurrent(fields: RangeFields): Promise<void> {
    for (const serializable of [false, true]) {
      const request = { ...fields, serializable };
      const expected = await direct.range(request);
      const replies = await Promise.all(Array.from({ length: 30 }, () => through.range(request)));
      for (const reply of replies) assert.deepEqual(reply, expected);
    }
  }

  /** Reads, so that there is something old to be remembered; then changes; then reads again. */
  async function check(fields: RangeFields, change: () => Promise<unknown>): Promise<void> {
    await assertCurrent(fields);
    await change();
    await assertCurrent(fields);
  }

  test('K1: a write that bypasses the proxy', async () => {
    const key = bytes('k1');
    await direct.put({ key, value: bytes('old') });
    await check({ key }, () => direct.put({ key, value: bytes('new') }));
    await check({ key }, () => direct.deleteRange({ key }));
  });

  test('K1: a lease that ends', async () => {
    const key = bytes('k1-lease');
    const lease = createClient(Lease, createGrpcTransport({ baseUrl: etcd.first.url }));
    const { ID } = await lease.leaseGrant({ TTL: 3600n });
    await direct.put({ key, lease: ID });
    await check({ key }, () => lease.leaseRevoke({ ID }));
  });

  test('K3: reads during a write through the proxy', async () => {
    const key = bytes('k3');
    for (let i = 0; i < 30; i++) {
      const reading = Array.from({ length: 20 }, () => through.range({ key, serializable: i % 2 === 0 }));
      const { header } = await through.put({ key, value: bytes(String(i)) });
      const later = Array.from({ length: 20 }, () => through.range({ key, serializable: i % 2 === 0 }));
      for (const { kvs } of await Promise.all(later)) assert.equal(kvs[0]?.modRevision, header?.revision);
      await Promise.all(reading);
    }
  });

  test('K4: a put in a nested transaction through the proxy', async () => {
    const key = bytes('k4');
    await direct.put({ key, value: bytes('old') });
    const put = { request: { case: 'requestPut' as const, value: { key, value: bytes('new') } } };
    const nested = { request: { case: 'requestTxn' as const, value: { success: [put] } } };
    await check({ key }, () => through.txn({ success: [nested] }));
  });

  test('K5: a range from a key to the end', async () => {
    const fields = { key: bytes('k5'), rangeEnd: bytes('\0') };
    await check(fields, () => through.put({ key: bytes('k5/new'), value: bytes('x') }));
  });

  test('K6: a range inside a transaction does not become the answer of a read', async () => {
    const key = bytes('k6');
    const range = { request: { case: 'requestRange' as const, value: { key, serializable: true } } };
    await check({ key }, () => through.txn({ success: [range] }));
    assert.notEqual((await through.range({ key, serializable: true })).header?.clusterId, 0n);
  });

  test('K7: compaction through the proxy, and elsewhere', async () => {
    const key = bytes('k7');
    for (const compacting of [through, direct]) {
      const { header } = await direct.put({ key, value: bytes('old') });
      const revision = header?.revision as bigint;
      await assertCurrent({ key, revision });
      await direct.put({ key, value: bytes('new') });
      await compacting.compact({ revision: revision + 1n });
      await assertCurrent({ key });
      for (const serializable of [false, true])
        await assert.rejects(
          through.range({ key, revision, serializable }),
          /required revision has been compacted/,
        );
    }
  });

  test('K8: distinct reads leave nothing behind', async () => {
    const client = lightClientOf(proxy.address, held);
    const burst = async (from: number) => {
      for (let i = from; i < from + 3000; i += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, j) => client.range({ key: bytes(`k8/${i + j}`) })));
      }
    };
    await burst(0);
    const before = residentBytes(proxy.process.pid);
    await burst(3000);
    assert.ok(residentBytes(proxy.process.pid) < before + 32 * 2 ** 20);
    assert.equal(await metric(proxy.url, 'etcd_proxy_read_flights'), 0);
  });

  test('K10: an empty operation in a transaction ends nothing but itself', async () => {
    const request = toBinary(TxnRequestSchema, create(TxnRequestSchema, { success: [{}] }));
    const { code } = await raw.call('/etcdserverpb.KV/Txn', [request]);
    assert.equal(code, 3);
    await assertCurrent({ key: bytes('k10') });
  });

  test('K11: fields that nobody knows reach etcd, and tell requests apart', async () => {
    await direct.put({ key: bytes('k11'), value: bytes('x') });
    const plain = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: bytes('k11') }));
    const odd = Buffer.concat([plain, Buffer.from([0xfa, 0x3f, 1, 65])]);
    const flights = await metric(proxy.url, 'etcd_proxy_read_flights_total');
    const outcomes = await Promise.all([plain, odd].map((one) => raw.call('/etcdserverpb.KV/Range', [one])));
    for (const { messages } of outcomes)
      assert.equal(fromBinary(RangeResponseSchema, messages[0] as Uint8Array).count, 1n);
    assert.equal(await metric(proxy.url, 'etcd_proxy_read_flights_total'), flights + 2);
  });
});
