/** What reads of a mirror cost, counted: every key that is looked at, in slices, up to a bound. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { type RangeRequest, type TxnRequest, TxnRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { type RangeQuery, readRangeQuery } from '../../src/etcd/range-query.ts';
import { readTxnQuery, type TxnQuery } from '../../src/etcd/txn-request.ts';
import type { Mirror } from '../../src/mirror/mirror.ts';
import { ReplyMaker } from '../../src/mirror/reply-maker.ts';
import { MirrorStats } from '../../src/mirror/stats.ts';
import { rangeReply } from '../../src/mvcc/range-reply.ts';
import { Store } from '../../src/mvcc/store.ts';
import { txnReply } from '../../src/mvcc/txn-reply.ts';
import { readVersion, Version } from '../../src/mvcc/version.ts';
import { type Interruptible, MAX_VISITS, SLICE_VISITS, Work } from '../../src/mvcc/work.ts';
import { rangeRequest } from '../mirror/support.ts';
import { bytes } from '../reads/clients.ts';
import { readCall, settle } from '../reads/held-upstream.ts';

const KEYS = 100_000;
const START = 1000;

/** A version as etcd writes it, short enough for lengths of one byte. */
function version(key: string, revision: number, count: number, value: string): Version {
  const text = (tag: number, content: string) => [tag, content.length, ...Buffer.from(content)];
  const small = (tag: number, number: number) => [tag, (number & 0x7f) | 0x80, number >> 7];
  const body = [...text(0x0a, key), ...small(0x10, revision), ...small(0x18, revision), 0x20, count];
  const field = Buffer.from([0x12, 0, ...body, ...text(0x2a, value)]);
  field[1] = field.length - 2;
  return readVersion(field, 0, field.length);
}

function storeOf(keys: number): Store {
  const store = new Store(START, 1_000_000);
  for (let i = 0; i < keys; i++) store.load(version(`k${String(i).padStart(7, '0')}`, 1, 1, `v${i}`));
  return store;
}

const rangeOf = (fields: Partial<RangeRequest>) => readRangeQuery(rangeRequest(fields)) as RangeQuery;
const all = { key: bytes('k'), rangeEnd: bytes('l') };
const txnOf = (fields: object) =>
  readTxnQuery(toBinary(TxnRequestSchema, create(TxnRequestSchema, fields as TxnRequest))) as TxnQuery;

/** Runs to the end. The most visits in one go, and how often others had a turn. */
function run<T>(steps: Interruptible<T>, work: Work) {
  let most = 0;
  for (let turns = 0; ; turns++) {
    const before = work.visits;
    const { done, value } = steps.next();
    most = Math.max(most, work.visits - before);
    if (done) return { value, most, turns };
    work.next();
  }
}

describe('the work on a read is bounded', () => {
  const store = storeOf(KEYS);
  const many = <T>(one: T) => Array.from({ length: 128 }, () => one);
  const noSuchValue = { result: 3, target: 3, targetUnion: { case: 'value', value: bytes('none') } };
  const inTxn = (fields: object) => ({ request: { case: 'requestRange', value: { ...all, ...fields } } });
  const transactions: readonly (readonly [string, object])[] = [
    ['comparisons of values', { compare: many({ ...all, ...noSuchValue }) }],
    ['comparisons of revisions', { compare: many({ ...all, result: 3, target: 2 }) }],
    ['ranges with filters', { success: many(inTxn({ minModRevision: 999_999n, limit: 1n })) }],
    [
      'ranges of which only some keys are wanted',
      { success: many(inTxn({ limit: 1n, maxModRevision: 5n })) },
    ],
    [
      'ranges that are sorted',
      { success: many(inTxn({ rangeEnd: bytes('k0019'), sortTarget: 4, sortOrder: 2, limit: 1n })) },
    ],
    [
      'keys without values',
      { success: many(inTxn({ rangeEnd: bytes('k0019'), keysOnly: true, limit: 19_000n })) },
    ],
  ];
  for (const [what, fields] of transactions)
    test(`a transaction of 128 ${what}`, () => {
      const work = new Work();
      const { value, most } = run(txnReply({ store, revision: START, work }, txnOf(fields), ''), work);
      assert.equal(value, 'work');
      assert.ok(work.visits <= MAX_VISITS + 2 * SLICE_VISITS, `${work.visits} visits`);
      assert.ok(most <= 2 * SLICE_VISITS, `${most} visits in one turn`);
    });

  test('comparisons stop at the first that does not hold', () => {
    const work = new Work();
    const equal = { ...noSuchValue, result: 0 };
    const steps = txnReply(
      { store, revision: START, work },
      txnOf({ compare: many({ ...all, ...equal }) }),
      '',
    );
    assert.ok(run(steps, work).value instanceof Buffer);
    assert.ok(work.visits <= 2 * SLICE_VISITS, `${work.visits} visits`);
  });

  test('a list of everything is made in slices', () => {
    const work = new Work();
    const { value, most, turns } = run(rangeReply({ store, revision: START, work }, rangeOf(all), ''), work);
    assert.ok(value instanceof Buffer);
    assert.ok(turns >= KEYS / SLICE_VISITS, `${turns} turns`);
    assert.ok(most <= 2 * SLICE_VISITS, `${most} visits in one turn`);
  });

  const counted: readonly (readonly [string, Partial<RangeRequest>])[] = [
    ['filters', { minModRevision: 999_999n }],
    ['an order', { sortTarget: 3, sortOrder: 1, limit: 1n, rangeEnd: bytes('k0019') }],
    ['values to sort', { sortTarget: 4, sortOrder: 1, limit: 1n, rangeEnd: bytes('k0019') }],
  ];
  for (const [what, fields] of counted)
    test(`keys are counted that the reply does not have: ${what}`, () => {
      const work = new Work();
      const query = rangeOf({ ...all, ...fields });
      run(rangeReply({ store, revision: START, work }, query, ''), work);
      assert.ok(work.visits >= (query.rangeEnd === 'l' ? KEYS : 19_000), `${work.visits} visits`);
    });

  test('a count of what has not changed costs next to nothing', () => {
    const work = new Work();
    run(rangeReply({ store, revision: START, work }, rangeOf({ ...all, countOnly: true }), ''), work);
    assert.ok(work.visits < KEYS / 100, `${work.visits} visits`);
  });
});

test('older versions that are passed over are counted', () => {
  const versions = 50_000;
  const store = storeOf(1);
  for (let i = 1; i <= versions; i++) {
    store.put(new Version('k0000000', START + i, 1, i, `field ${i}`));
    store.applied = START + i;
  }
  for (const fields of [{ key: bytes('k0000000') }, { ...all, countOnly: true }, all]) {
    const work = new Work();
    run(rangeReply({ store, revision: START, work }, rangeOf(fields), ''), work);
    assert.ok(work.visits >= versions, `${work.visits} visits`);
  }
  const one = { request: { case: 'requestRange', value: { key: bytes('k0000000') } } };
  const work = new Work();
  const query = txnOf({ success: Array.from({ length: 128 }, () => one) });
  assert.equal(run(txnReply({ store, revision: START, work }, query, ''), work).value, 'work');
});

test('whatever changes between two slices, the reply is that of the revision it began at', () => {
  const key = fc.integer({ min: 0, max: 40 }).map((n) => `k${String(n).padStart(2, '0')}`);
  const change = fc.record({ key, remove: fc.boolean() });
  const fields = fc.record({
    limit: fc.constantFrom(0n, 3n),
    sortTarget: fc.integer({ min: 0, max: 4 }),
    sortOrder: fc.integer({ min: 0, max: 2 }),
    keysOnly: fc.boolean(),
    countOnly: fc.boolean(),
    minModRevision: fc.constantFrom(0n, 1005n),
  });
  fc.assert(
    fc.property(fc.array(change), fc.array(change), fields, (before, during, rest) => {
      const store = new Store(START, 1_000_000);
      const apply = (one: { key: string; remove: boolean }) => {
        const revision = store.applied + 1;
        if (one.remove) store.delete(one.key, revision);
        else store.put(version(one.key, revision, revision % 128, `value ${revision % 7}`));
        store.applied = revision;
      };
      for (const one of before) apply(one);
      const query = rangeOf({ ...all, ...rest });
      const revision = store.applied;
      const whole = new Work();
      const expected = run(rangeReply({ store, revision, work: whole }, query, 'h'), whole).value;
      const work = new Work(MAX_VISITS, 1);
      const steps = rangeReply({ store, revision, work }, query, 'h');
      for (const one of [...during, undefined]) {
        const { done, value } = steps.next();
        if (done) return assert.deepEqual(value, expected);
        work.next();
        if (one !== undefined) apply(one);
      }
      assert.deepEqual(run(steps, work).value, expected);
    }),
    { numRuns: Number(process.env.MIRROR_RUNS ?? 300) },
  );
});

test('a read whose past is forgotten while it is worked out is left to etcd', () => {
  const store = storeOf(100);
  const work = new Work(MAX_VISITS, 10);
  const steps = rangeReply({ store, revision: START, work }, rangeOf(all), '');
  steps.next();
  store.put(version('k0000001', START + 1, 2, 'new'));
  store.applied = START + 1;
  store.trim(0);
  work.next();
  assert.deepEqual(steps.next(), { done: true, value: 'revision' });
});

test('many reads in one turn: some are answered at once, the others in turns of their own', async () => {
  const store = storeOf(2000);
  const mirror = { store, header: () => '' } as unknown as Mirror;
  const stats = new MirrorStats();
  const forward = () => assert.fail('nothing is left to etcd');
  const maker = new ReplyMaker({ seen: new SeenRevision(), stats, forward });
  const reads = 300;
  const replies = Array.from({ length: reads }, (_, n) => {
    const request = rangeRequest({ ...all, minModRevision: BigInt(5000 + n) });
    const query = readRangeQuery(request) as RangeQuery;
    return maker.reply({ mirror, query, request, call: readCall(), permitted: START });
  });
  const atOnce = replies.filter((reply) => reply instanceof Uint8Array).length;
  assert.ok(atOnce >= 8 && atOnce <= 20, `${atOnce} at once`);
  let turns = 0;
  for (; stats.hits < reads; turns++) {
    const before = stats.hits;
    await settle();
    assert.ok(stats.hits - before <= 20, `${stats.hits - before} in one turn`);
    assert.ok(turns < 1000);
  }
  const expected = Buffer.from([0x20, 0xd0, 0x0f]);
  for (const reply of replies) assert.deepEqual(Buffer.from((await reply) as Uint8Array), expected);
});

test('a transaction of more operations than any etcd takes is not read to its end', () => {
  const operation = Buffer.from([0x12, 0x05, 0x0a, 0x03, 0x0a, 0x01, 0x6b]);
  assert.ok(readTxnQuery(Buffer.concat(Array(128).fill(operation))));
  const millions = Buffer.concat(Array(2_000_000).fill(operation));
  const before = process.memoryUsage().heapUsed;
  assert.equal(readTxnQuery(millions), undefined);
  assert.ok(process.memoryUsage().heapUsed - before < 50 << 20);
});
