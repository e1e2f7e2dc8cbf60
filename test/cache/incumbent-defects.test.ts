/**
 * What is known to go wrong with the cache of etcd's own grpc-proxy, by the numbers of our research, done to the
 * validated cache on every etcd at hand: each time with an answer that is remembered.
 */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { KV } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { bytes } from '../reads/clients.ts';
import { availableEtcds } from '../support/etcd.ts';
import { until } from '../support/until.ts';
import { type Place, type RangeFields, serializable, setUp } from './place.ts';

const text = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString();

for (const install of await availableEtcds()) {
  describe(`defects of the incumbent's cache, etcd ${install.version}`, () => {
    const held = new AsyncDisposableStack();
    let place: Place;
    before(async () => {
      place = await setUp(held, { install });
    });
    after(() => held.disposeAsync());

    const read = (fields: RangeFields) => place.through.range({ ...fields, serializable: true });
    const value = async (key: string) => text((await read({ key: bytes(key) })).kvs[0]?.value);

    test('K1: a write that bypasses the proxy', async () => {
      const { direct, warm, cache, through } = place;
      const key = bytes('k1');
      await direct.put({ key, value: bytes('old') });
      await warm({ key });
      await direct.put({ key, value: bytes('new') });
      await until('the write', async () => (await value('k1')) === 'new');
      await warm({ key });
      const { header } = await direct.deleteRange({ key });
      // who has seen the write by any read does not lose sight of it
      assert.ok((await through.range({ key: bytes('other') })).header?.revision === header?.revision);
      assert.deepEqual((await read({ key })).kvs, []);
      assert.ok(cache.stats.hits > 0);
    });

    test('K1: a lease that ends', async () => {
      const { direct, warm, etcd } = place;
      const key = bytes('k1-lease');
      const lease = createClient(Lease, createGrpcTransport({ baseUrl: etcd.first.url }));
      // Where the machine stands still, the lease ends before the key is put or remembered: then once more.
      await until('an answer from memory while the lease lives', async () => {
        const { ID } = await lease.leaseGrant({ TTL: 2n });
        try {
          await direct.put({ key, value: bytes('leased'), lease: ID });
        } catch (error) {
          assert.match(String(error), /requested lease not found/);
          return false;
        }
        return text((await warm({ key })).kvs[0]?.value) === 'leased';
      });
      await until('the end of the lease', async () => (await value('k1-lease')) === '');
    });

    test('K3: reads while the same key is written through the proxy', async () => {
      const { through, warm, cache } = place;
      const key = bytes('k3');
      await through.put({ key, value: bytes('old') });
      await warm({ key });
      const { hits } = cache.stats;
      for (let i = 0; i < 100; i++) {
        const before = Array.from({ length: 5 }, () => read({ key }));
        const { header } = await through.put({ key, value: bytes(String(i)) });
        for (let j = 0; j < 3; j++) {
          const { kvs, header: seen } = await read({ key });
          assert.equal(kvs[0]?.modRevision, header?.revision);
          assert.ok((seen?.revision ?? 0n) >= (header?.revision ?? 1n));
        }
        await Promise.all(before);
      }
      await until('a hit', async () => {
        await read({ key });
        return cache.stats.hits > hits;
      });
    });

    test('K4: a put in a nested transaction through the proxy', async () => {
      const { through, warm } = place;
      const key = bytes('k4');
      await through.put({ key, value: bytes('old') });
      await warm({ key });
      const put = { request: { case: 'requestPut' as const, value: { key, value: bytes('new') } } };
      const nested = { request: { case: 'requestTxn' as const, value: { success: [put] } } };
      await through.txn({ success: [nested] });
      assert.equal(await value('k4'), 'new');
    });

    test('K5: ranges without an end', async () => {
      const { through, direct, warm } = place;
      const fields = { key: bytes('k5'), rangeEnd: bytes('\0'), limit: 1n };
      await through.put({ key: bytes('k5/a'), value: bytes('old') });
      await warm(fields);
      await through.put({ key: bytes('k5/a'), value: bytes('new') });
      assert.equal(text((await read(fields)).kvs[0]?.value), 'new');
      await warm(fields);
      await direct.put({ key: bytes('k5'), value: bytes('newest') });
      await until('the write', async () => text((await read(fields)).kvs[0]?.value) === 'newest');
    });

    test('K6: remembered answers have a real header', async () => {
      const { through, direct, warm } = place;
      const key = bytes('k6');
      await through.put({ key });
      for (let i = 0; i < 2; i++) {
        const { header } = await warm({ key });
        const real = (await direct.range({ key })).header;
        assert.deepEqual(header, real);
        assert.ok(header?.clusterId && header.memberId && header.raftTerm);
        await through.put({ key: bytes('something else') });
      }
    });

    test('K7: a compaction changes nothing', async () => {
      const { through, direct, warm, cache } = place;
      const key = bytes('k7');
      const put = async () => (await through.put({ key, value: bytes('v') })).header?.revision as bigint;
      const old = await put();
      await warm({ key });
      for (const client of [through, direct]) {
        const revision = await put();
        await client.compact({ revision });
        await warm({ key });
        const { hits, misses } = structuredClone(cache.stats);
        assert.equal((await read({ key })).kvs[0]?.modRevision, revision);
        assert.equal(cache.stats.hits, hits + 1, JSON.stringify(misses));
      }
      await assert.rejects(read({ key, revision: old }), /required revision has been compacted/);
    });

    test('K9: an answer that was given does not change', async () => {
      const { through, warm, cache } = place;
      const key = bytes('k9');
      await through.put({ key, value: bytes('v') });
      await warm({ key });
      const request = serializable({ key });
      const ask = () => cache.unary(request, new OwnCall(KV.Range, NO_METADATA, Infinity));
      const given = ask();
      assert.ok(given instanceof Uint8Array, 'a hit is synchronous');
      const copy = Uint8Array.from(given);
      await through.put({ key: bytes('something else') });
      await warm({ key });
      await through.put({ key, value: bytes('w') });
      await warm({ key });
      assert.deepEqual(Uint8Array.from(given), copy);
      assert.equal(text(fromBinary(RangeResponseSchema, given).kvs[0]?.value), 'v');
    });

    test('K11: a request with fields that nobody knows reaches etcd as it is', async () => {
      const { cache, direct } = place;
      const key = bytes('k11');
      await direct.put({ key, value: bytes('v') });
      const known = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key, serializable: true }));
      const request = Buffer.concat([known, Buffer.from([0xa0, 0x06, 1])]);
      const { hits } = cache.stats;
      for (let i = 0; i < 10; i++) {
        const call = new OwnCall(KV.Range, NO_METADATA, Infinity);
        const reply = await cache.unary(request, call);
        assert.equal(text(fromBinary(RangeResponseSchema, reply).kvs[0]?.value), 'v');
      }
      assert.equal(cache.stats.hits, hits);
    });
  });
}
