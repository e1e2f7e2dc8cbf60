/**
 * Calls that change nothing, made of the very same etcd directly and through the proxy: here nothing is volatile,
 * and over gRPC every byte of every message must be the same.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { startEtcd } from '../support/etcd.ts';
import type { Case } from './case.ts';
import { rangeReads } from './cases/range.ts';
import { readCases } from './cases/reads.ts';
import { at, b, rpc } from './rpc.ts';
import { etcdsToCompare, plainSettings } from './settings.ts';
import { type Side, sidesFor, sideTo } from './side.ts';
import { assertSame, record } from './suite.ts';

const cases: readonly Case[] = [...rangeReads, ...readCases];

/** Puts something into the store: keys with a history, large values, leases of etcd's own. */
async function fill({ behind }: Side): Promise<void> {
  const calls = ['e', 'b', 'd', 'a', 'c', 'b', 'a', 'b'].map((name, index) =>
    rpc(KV.method.put, { ...at(`range/${name}`), value: b(`value ${index}`) }),
  );
  calls.push(rpc(KV.method.put, { ...at('range/large'), value: new Uint8Array(200_000).fill(7) }));
  for (let index = 0; index < 30; index++)
    calls.push(rpc(KV.method.put, { ...at(`large/${index}`), value: new Uint8Array(200_000).fill(index) }));
  for (let lease = 0; lease < 3; lease++) calls.push(rpc(Lease.method.leaseGrant, { TTL: 3600n }));
  for (const { path, request } of calls) {
    const { code, message } = await behind.call(path, [request]);
    assert.equal(code, 0, message);
  }
}

const etcds = await etcdsToCompare();
for (const [index, install] of etcds.entries()) {
  describe(`same store, etcd ${install.version}`, () => {
    const held = new AsyncDisposableStack();
    const sides: Side[] = [];
    before(async () => {
      const etcd = held.use(await startEtcd({ ...plainSettings, install }));
      for (const kind of sidesFor(index, etcds.length)) sides.push(held.use(await sideTo(kind, etcd)));
      const [direct] = sides;
      assert.ok(direct);
      await fill(direct);
    });
    after(() => held.disposeAsync());
    for (const one of cases) {
      const reason = one.skip?.(install) ?? false;
      test(one.name, { skip: reason, timeout: 120_000 }, async () => {
        assertSame(await Promise.all(sides.map((side) => record(one, side, true))));
      });
    }
  });
}
