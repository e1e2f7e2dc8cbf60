/** Other leases in the places of messages that name them: what the descriptors say, for transactions nested at random. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { type TxnRequest, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { LeaseLeasesResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import { onlyLooks } from '../../src/etcd/action.ts';
import { MOST_FIELDS } from '../../src/etcd/bounded-fields.ts';
import { type KeyFields, REQUEST_FIELDS } from '../../src/etcd/key-fields.ts';
import { leaseIn, withLease } from '../../src/etcd/lease-places.ts';
import { LeaseSelection } from '../../src/etcd/lease-selection.ts';
import { LeaseTag } from '../../src/etcd/lease-tags.ts';
import { KV } from '../../src/etcd/methods.ts';
import { StrictFields, TOO_MANY_STRICT_FIELDS } from '../../src/etcd/strict-fields.ts';
import { IsolationStats } from '../../src/namespace/isolation-stats.ts';
import { KeyRewriting } from '../../src/namespace/key-rewriting.ts';
import { LeaseIds } from '../../src/namespace/lease-ids.ts';
import { LeasesWithin } from '../../src/namespace/leases-within.ts';
import { Prefix } from '../../src/namespace/prefix.ts';
import { NamespaceStats } from '../../src/namespace/stats.ts';
import { Translator } from '../../src/namespace/translator.ts';
import type { Method } from '../../src/rpc/method.ts';
import { randomFrom } from '../reads/fire.ts';

const random = randomFrom(7);
const of = (most: number): number => Math.floor(most * random());
const LEASES = [0n, 1n, 127n, 128n, 5n << 40n, (1n << 63n) - 1n, -1n, -(1n << 63n)];
const bytes = (): Uint8Array => Buffer.alloc(of(200), of(256));

function randomTxn(depth: number): TxnRequest {
  const operations = () => Array.from({ length: of(4) }, () => ({ request: operation(depth) }));
  return create(TxnRequestSchema, {
    compare: [{ key: bytes(), targetUnion: { case: 'lease', value: LEASES[of(LEASES.length)] as bigint } }],
    success: operations(),
    failure: operations(),
  });
}

function operation(depth: number) {
  const value = {
    key: bytes(),
    value: bytes(),
    lease: LEASES[of(LEASES.length)] as bigint,
    prevKv: random() < 0.5,
  };
  if (depth > 0 && random() < 0.5) return { case: 'requestTxn' as const, value: randomTxn(depth - 1) };
  if (random() < 0.7) return { case: 'requestPut' as const, value };
  return {
    case: 'requestRange' as const,
    value: { key: bytes(), limit: LEASES[of(LEASES.length)] as bigint },
  };
}

/** Whether a put has the lease that is not there. */
const namesAbsent = (txn: TxnRequest, ids: LeaseIds): boolean =>
  [...txn.success, ...txn.failure].some(({ request }) =>
    request.case === 'requestTxn'
      ? namesAbsent(request.value, ids)
      : request.case === 'requestPut' && request.value.lease === ids.absent,
  );

/** The same on a decoded message. */
function mapDecoded(txn: TxnRequest, other: (lease: bigint) => bigint): TxnRequest {
  for (const { request } of [...txn.success, ...txn.failure])
    if (request.case === 'requestTxn') mapDecoded(request.value, other);
    else if (request.case === 'requestPut' && request.value.lease !== 0n)
      request.value.lease = other(request.value.lease);
  return txn;
}

/** Rewrites in steps of some fields. */
function rewrite(message: Uint8Array, method: Method, leases?: LeasesWithin, step = 1e9): Uint8Array {
  const rewriting = new KeyRewriting(new Prefix(Buffer.from('a/')), leases);
  rewriting.begin(message, REQUEST_FIELDS.get(method) as KeyFields, true);
  for (;;) {
    const done = rewriting.advance(step);
    if (done !== undefined) return done;
  }
}

test('puts have another lease at any depth, and nothing else is another', () => {
  const ids = new LeaseIds(Buffer.from('a/'));
  const stats = new IsolationStats();
  const leases = new LeasesWithin(ids, stats);
  LEASES.push(ids.choose(), ids.choose(), ids.absent, ids.absent - (1n << 63n));
  for (let i = 0; i < 150; i++) {
    const encoded = toBinary(TxnRequestSchema, randomTxn(4));
    const before = stats.hidden;
    const rewritten = rewrite(encoded, KV.Txn, leases);
    const plain = rewrite(encoded, KV.Txn);
    const expected = mapDecoded(fromBinary(TxnRequestSchema, plain), ids.hidden);
    assert.equal(Buffer.compare(rewritten, toBinary(TxnRequestSchema, expected)), 0);
    assert.equal(stats.hidden - before, namesAbsent(expected, ids) ? 1 : 0);
    assert.equal(Buffer.compare(rewrite(encoded, KV.Txn, leases, 1 + of(5)), rewritten), 0, 'in steps');
  }
  assert.ok(stats.hidden > 50);
});

test('a transaction of very many leases is rewritten in turns with others', async () => {
  const leases = new LeasesWithin(new LeaseIds(Buffer.from('a/')), new IsolationStats());
  const stats = new NamespaceStats();
  const translator = new Translator(new Prefix(Buffer.from('a/')), stats, leases);
  const puts = 50_000;
  const operation = Buffer.of(0x12, 4, 0x12, 2, 0x18, 1);
  const fields = REQUEST_FIELDS.get(KV.Txn) as KeyFields;
  const translated = translator.request(Buffer.alloc(puts * operation.length, operation), fields);
  assert.ok(translated instanceof Promise);
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const done = await translated;
  isOver = true;
  // Three heads for each put, measured and written.
  assert.ok(turns > (2 * 3 * puts) / 4096 / 2, `${turns} turns`);
  assert.equal(done.length, puts * (operation.length + 8));
  assert.equal(stats.inTurns, 1);
});

test('an encoded lease is one of the namespace, or none, as its number says', () => {
  const ids = new LeaseIds(Buffer.from('a/'));
  const leases = new LeasesWithin(ids, new IsolationStats());
  const encode = (id: bigint) => new BinaryWriter().int64(id).finish();
  assert.deepEqual(Buffer.from(encode(ids.absent)), leases.absent);
  const near = Array.from({ length: 64 }, (_, bit) => ids.choose() ^ (1n << BigInt(bit)));
  const edges = [0n, 1n, ids.absent, ids.absent + 1n, ids.absent - 1n, ids.absent + (1n << 23n) - 1n];
  for (const id of [...edges, ids.absent + (1n << 23n), ...LEASES, ...near].map((each) =>
    BigInt.asIntN(64, each),
  )) {
    const bytes = Buffer.concat([Buffer.of(0xff, 0xff), encode(id), Buffer.of(0xff)]);
    assert.equal(leases.allows(bytes, 2, bytes.length - 1), id === 0n || ids.owns(id), `${id}`);
  }
  // Zeros that need not be there, and what is above 64 bits.
  for (const last of [0, 2, 0x7e]) {
    const long = Buffer.from([...encode(ids.choose()).map((octet) => octet | 0x80), last]);
    assert.ok(leases.allows(long, 0, long.length) && leases.allows(Buffer.of(0x80, 0x80, 0), 0, 3));
  }
});

test('a request is looked at in one go up to a bound of fields', (context) => {
  const next = context.mock.method(StrictFields.prototype, 'next');
  const refused = (error: unknown) => error === TOO_MANY_STRICT_FIELDS;
  const of = (fields: number) => Buffer.alloc(2 * fields, Buffer.of(0x08, 1));
  for (const look of [onlyLooks, (request: Uint8Array) => leaseIn(request, LeaseTag.ofLease)]) {
    look(of(MOST_FIELDS));
    next.mock.resetCalls();
    assert.throws(() => look(of(4 * MOST_FIELDS)), refused);
    assert.equal(next.mock.callCount(), MOST_FIELDS + 1);
  }
});

test('a message names another lease, and is what it was but for that', () => {
  const message = Buffer.of(0x08, 1, 0x10, 1, 0x88, 0x00, 5, 0x08, 0x83, 0x00);
  assert.deepEqual([...withLease(message, LeaseTag.ofLease, 300n)], [0x10, 1, 0x08, 0xac, 0x02]);
});

test('a list of leases has those that are wanted, in however many turns it is made', () => {
  const leases = Array.from({ length: 1000 }, (_, i) => ({ ID: BigInt(i) - 500n }));
  const reply = toBinary(
    LeaseLeasesResponseSchema,
    create(LeaseLeasesResponseSchema, { header: { revision: 5n }, leases }),
  );
  for (const each of [1, 7, 1000, 5000]) {
    const selection = new LeaseSelection(reply, (id) => id % 3n === 0n);
    let turns = 1;
    let bytes = selection.advance(each);
    for (; bytes === undefined; turns++) bytes = selection.advance(each);
    assert.equal(turns, Math.floor((leases.length + 1) / each) + 1);
    const selected = fromBinary(LeaseLeasesResponseSchema, bytes);
    assert.deepEqual(
      selected.leases.map(({ ID }) => ID),
      leases.map(({ ID }) => ID).filter((id) => id % 3n === 0n),
    );
    assert.equal(selected.header?.revision, 5n);
  }
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
