/** Other leases in the places of messages that name them: what the descriptors say, for transactions nested at random. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type TxnRequest, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { LeaseLeasesResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import { mapLeases, Places, selectLeases } from '../../src/etcd/lease-places.ts';
import { LeaseIds } from '../../src/namespace/lease-ids.ts';
import { RpcError } from '../../src/rpc/status.ts';
import { randomFrom } from '../reads/fire.ts';

const random = randomFrom(7);
const of = (most: number): number => Math.floor(most * random());
const LEASES = [0n, 1n, 127n, 128n, 5n << 40n, (1n << 63n) - 1n, -1n, -(1n << 63n)];
const bytes = (): Uint8Array => Buffer.alloc(of(200), of(256));

function randomTxn(depth: number): TxnRequest {
  const operations = () => Array.from({ length: of(4) }, () => ({ request: operation(depth) }));
  return create(TxnRequestSchema, {
    compare: [{ key: bytes(), targetUnion: { case: 'lease', value: LEASES[of(8)] as bigint } }],
    success: operations(),
    failure: operations(),
  });
}

function operation(depth: number) {
  const value = { key: bytes(), value: bytes(), lease: LEASES[of(8)] as bigint, prevKv: random() < 0.5 };
  if (depth > 0 && random() < 0.5) return { case: 'requestTxn' as const, value: randomTxn(depth - 1) };
  if (random() < 0.7) return { case: 'requestPut' as const, value };
  return { case: 'requestRange' as const, value: { key: bytes(), limit: LEASES[of(8)] as bigint } };
}

/** The same on a decoded message. */
function mapDecoded(txn: TxnRequest, other: (lease: bigint) => bigint): TxnRequest {
  for (const { request } of [...txn.success, ...txn.failure])
    if (request.case === 'requestTxn') mapDecoded(request.value, other);
    else if (request.case === 'requestPut' && request.value.lease !== 0n)
      request.value.lease = other(request.value.lease);
  return txn;
}

test('puts have another lease at any depth, and nothing else is another', () => {
  let changed = 0;
  for (let i = 0; i < 150; i++) {
    const encoded = toBinary(TxnRequestSchema, randomTxn(4));
    const other = (lease: bigint): bigint => (lease > 1000n ? 3n : lease === 1n ? 1n << 62n : lease);
    const mapped = mapLeases(encoded, Places.txn, other);
    const expected = mapDecoded(fromBinary(TxnRequestSchema, encoded), other);
    assert.equal(Buffer.compare(mapped, toBinary(TxnRequestSchema, expected)), 0);
    if (mapped !== encoded) changed++;
    assert.equal(
      mapLeases(encoded, Places.txn, (lease) => lease),
      encoded,
      'the very same',
    );
  }
  assert.ok(changed > 50);
});

test('what is nested too deeply to be looked at is refused', () => {
  const nest = (times: number): Uint8Array => {
    let txn: Uint8Array = new Uint8Array();
    for (let i = 0; i < times; i++) {
      const operation = Buffer.concat([Uint8Array.of(0x22), varint(txn.length), txn]);
      txn = Buffer.concat([Uint8Array.of(0x12), varint(operation.length), operation]);
    }
    return txn;
  };
  assert.equal(mapLeases(nest(1000), Places.txn, () => 1n).length, nest(1000).length);
  const deep = nest(1001);
  assert.throws(
    () => mapLeases(deep, Places.txn, () => 1n),
    (error) => error instanceof RpcError && error.code === 3,
  );
});

test('a list of leases has those that are wanted', () => {
  const leases = Array.from({ length: 1000 }, (_, i) => ({ ID: BigInt(i) - 500n }));
  const reply = toBinary(
    LeaseLeasesResponseSchema,
    create(LeaseLeasesResponseSchema, { header: { revision: 5n }, leases }),
  );
  const selected = fromBinary(
    LeaseLeasesResponseSchema,
    selectLeases(reply, (id) => id % 3n === 0n),
  );
  assert.deepEqual(
    selected.leases.map(({ ID }) => ID),
    leases.map(({ ID }) => ID).filter((id) => id % 3n === 0n),
  );
  assert.equal(selected.header?.revision, 5n);
});

test('ids of leases say whose they are', () => {
  const [a, b] = [new LeaseIds(Buffer.from('a/')), new LeaseIds(Buffer.from('b/'))];
  for (let i = 0; i < 1000; i++) {
    const id = a.choose();
    assert.ok(id > 0n && id < 1n << 63n);
    assert.ok(a.owns(id) && !b.owns(id));
    assert.deepEqual([a.hidden(id), b.hidden(id)], [id, b.absent]);
  }
  for (const id of [0n, a.absent, -a.choose(), a.choose() - (1n << 63n), b.choose()]) assert.ok(!a.owns(id));
  assert.ok(new LeaseIds(Buffer.from('a/')).owns(a.choose()), 'the same in every proxy');
});

function varint(value: number): Uint8Array {
  const octets: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) octets.push((rest % 0x80) | 0x80);
  return Uint8Array.from([...octets, rest]);
}
