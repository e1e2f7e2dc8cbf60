/** KV.Put, KV.DeleteRange and KV.Compact, with what etcd refuses about them. */
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { type Case, calls, script } from '../case.ts';
import { at, b, rpc, under, zero } from '../rpc.ts';
import { requestBytes } from '../settings.ts';

const { put, deleteRange, range, compact } = KV.method;
const { leaseGrant, leaseTimeToLive } = Lease.method;

const lease = 7_001n;
const big = (size: number): Uint8Array => new Uint8Array(size).fill(120);

/** A put whose message has exactly the given size, fields included. */
function putOfSize(size: number) {
  const around = rpc(put, { ...at('put/big'), value: big(size - 20) });
  return { ...at('put/big'), value: big(size - 20 - (around.request.length - size)) };
}

/** The most that etcd takes in. */
const etcdTakes = requestBytes + 512 * 1024;

const puts: readonly Case[] = [
  calls(
    'put: new, again, with the previous value',
    ...['1', '2', '3'].map((value, index) =>
      rpc(put, { ...at('put/a'), value: b(value), prevKv: index !== 1 }),
    ),
  ),
  calls('put: an empty value', rpc(put, at('put/empty')), rpc(range, at('put/empty'))),
  calls(
    'put: bytes of all kinds',
    rpc(put, { key: Uint8Array.of(0, 1, 255), value: Uint8Array.of(255, 0) }),
    rpc(range, { key: Uint8Array.of(0, 1, 255) }),
    rpc(deleteRange, { key: Uint8Array.of(0, 1, 255) }),
  ),
  calls(
    'put: with a lease',
    rpc(leaseGrant, { ID: lease, TTL: 3600n }),
    rpc(put, { ...at('put/leased'), value: b('1'), lease }),
    rpc(range, at('put/leased')),
    rpc(leaseTimeToLive, { ID: lease, keys: true }),
  ),
  calls('put: ignore the value', rpc(put, { ...at('put/leased'), ignoreValue: true, lease, prevKv: true })),
  calls(
    'put: ignore the lease',
    rpc(put, { ...at('put/leased'), value: b('2'), ignoreLease: true }),
    rpc(range, at('put/leased')),
  ),
  calls('put: ignore both', rpc(put, { ...at('put/leased'), ignoreLease: true, ignoreValue: true })),
  calls(
    'put: away from its lease',
    rpc(put, { ...at('put/leased'), value: b('3') }),
    rpc(leaseTimeToLive, { ID: lease, keys: true }),
  ),
  calls(
    'put: ignore the value of a key that is not there',
    rpc(put, { ...at('put/none'), ignoreValue: true }),
  ),
  calls(
    'put: ignore the lease of a key that is not there',
    rpc(put, { ...at('put/none'), value: b('1'), ignoreLease: true }),
  ),
  calls('put: a value and to ignore it', rpc(put, { ...at('put/a'), value: b('1'), ignoreValue: true })),
  calls('put: a lease and to ignore it', rpc(put, { ...at('put/a'), lease, ignoreLease: true })),
  calls('put: no key', rpc(put, { value: b('1') })),
  calls('put: a lease that is not there', rpc(put, { ...at('put/a'), value: b('1'), lease: 404n })),
  calls('put: a negative lease', rpc(put, { ...at('put/a'), value: b('1'), lease: -5n })),
];

const sizes: readonly Case[] = [
  calls(
    'put: as large as it may be',
    rpc(put, { ...at('put/big'), value: big(200_000) }),
    rpc(range, at('put/big')),
  ),
  calls('put: too large for etcd', rpc(put, { ...at('put/big'), value: big(300_000) })),
  calls('put: too large for etcd to take in', rpc(put, { ...at('put/big'), value: big(1_000_000) })),
  ...[etcdTakes, etcdTakes + 1, 1_572_864, 1_572_865, 5_000_000].map((size) =>
    calls(`put: a message of ${size} bytes`, rpc(put, putOfSize(size))),
  ),
];

const deletes: readonly Case[] = [
  calls(
    'delete: fill',
    ...['a', 'b', 'c', 'd', 'e', 'f'].map((name) => rpc(put, { ...at(`delete/${name}`), value: b(name) })),
  ),
  calls('delete: one', rpc(deleteRange, at('delete/a'))),
  calls('delete: one that is not there', rpc(deleteRange, { ...at('delete/a'), prevKv: true })),
  calls('delete: with the previous value', rpc(deleteRange, { ...at('delete/b'), prevKv: true })),
  calls(
    'delete: from a key to another',
    rpc(deleteRange, { ...at('delete/c'), rangeEnd: b('delete/e'), prevKv: true }),
  ),
  calls('delete: a prefix', rpc(deleteRange, under('delete/')), rpc(range, under('delete/'))),
  calls(
    'delete: from a key on',
    rpc(put, at('\x7e\x7e')),
    rpc(deleteRange, { ...at('\x7e\x7e'), rangeEnd: zero, prevKv: true }),
  ),
  calls('delete: an end before the key', rpc(deleteRange, { ...at('put/b'), rangeEnd: b('put/a') })),
  calls('delete: no key', rpc(deleteRange, {})),
];

export const writeCases: readonly Case[] = [...puts, ...sizes, ...deletes];

/** These come after all that look at the past. */
export const compactCases: readonly Case[] = [
  script('compact: the past, and what is left of it', async (script) => {
    await script.runAll(
      ['1', '2', '3', '4'].map((value) => rpc(put, { ...at('compact/a'), value: b(value) })),
    );
    const { header } = await script.ask(range, at('compact/a'));
    const now = header?.revision ?? 0n;
    await script.runAll([
      rpc(compact, { revision: now + 1n }),
      rpc(compact, { revision: now - 1n, physical: true }),
      rpc(compact, { revision: now - 1n }),
      rpc(compact, { revision: now - 2n }),
      rpc(compact, { revision: 0n }),
      rpc(compact, { revision: -1n }),
      rpc(range, { ...at('compact/a'), revision: now - 2n }),
      rpc(range, { ...at('compact/a'), revision: now - 1n }),
      rpc(range, { ...at('compact/a'), revision: now - 2n, serializable: true }),
      rpc(KV.method.rangeStream, { ...at('compact/a'), revision: now - 2n }),
      rpc(range, { ...at('compact/a'), revision: now + 1n }),
      rpc(put, { ...at('compact/a'), value: b('5') }),
    ]);
  }),
];
