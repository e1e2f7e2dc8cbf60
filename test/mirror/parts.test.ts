/** The parts of mirrored prefixes by themselves: prefixes, what requests are understood, hot replies, fall-backs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type RangeQuery, readRangeQuery } from '../../src/etcd/range-query.ts';
import { FallBacks } from '../../src/mirror/fall-backs.ts';
import { HOT_REPLY_BYTES, HotReplies } from '../../src/mirror/hot-replies.ts';
import { distinct, prefixRange } from '../../src/mirror/mirrors.ts';
import { MirrorStats } from '../../src/mirror/stats.ts';
import { Store } from '../../src/mvcc/store.ts';
import { Version } from '../../src/mvcc/version.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { outcome, readCall, settle } from '../reads/held-upstream.ts';
import { until } from '../support/until.ts';
import { rangeRequest } from './support.ts';

describe('prefixes', () => {
  test('a prefix ends before the first key that does not begin with it', () => {
    assert.deepEqual([prefixRange('/a/').start, prefixRange('/a/').end], ['/a/', '/a0']);
    assert.deepEqual([prefixRange('a\xff').rangeEnd, prefixRange('a\xff\xff').rangeEnd], ['b', 'b']);
    assert.ok(prefixRange('\xff').contains('\xff\xff\xff'));
    assert.ok(!prefixRange('\xff').contains('\xfe\xff'));
  });

  test('one that lies in another is passed over, and so is one that is given twice', () => {
    const ranges = distinct(['/a/b/', '/b/', '/a/', '/b/', '/é/']);
    assert.deepEqual(ranges.map(({ start }) => start).sort(), ['/a/', '/b/', '/Ã©/'].sort());
  });
});

describe('requests', () => {
  const key = Buffer.from('k');
  const varint = (field: number, value: number[]) => Buffer.from([field << 3, ...value]);
  const keyField = Buffer.from([0x0a, 1, 0x6b]);

  test('every field is read', () => {
    const query = readRangeQuery(
      rangeRequest({
        key,
        rangeEnd: Buffer.from('m'),
        limit: 3n,
        revision: 4n,
        sortOrder: 2,
        sortTarget: 3,
        serializable: true,
        keysOnly: true,
        countOnly: true,
        minModRevision: 5n,
        maxModRevision: 6n,
        minCreateRevision: 7n,
        maxCreateRevision: 8n,
      }),
    );
    const expected: Partial<RangeQuery> = {
      start: 'k',
      end: 'm',
      rangeEnd: 'm',
      limit: 3,
      revision: 4,
      order: 2,
      target: 3,
      serializable: true,
      keysOnly: true,
      countOnly: true,
      minMod: 5,
      maxMod: 6,
      minCreate: 7,
      maxCreate: 8,
    };
    assert.deepEqual({ ...query }, expected);
    assert.equal(readRangeQuery(rangeRequest({ key }))?.end, 'k\0');
    assert.ok((readRangeQuery(rangeRequest({ key, rangeEnd: Buffer.from('\0') }))?.end ?? '') > '\xff\xff');
  });

  const odd: readonly (readonly [string, Uint8Array])[] = [
    ['no key', rangeRequest({ rangeEnd: Buffer.from('m') })],
    ['an empty range', rangeRequest({ key, rangeEnd: Buffer.from('a') })],
    ['an empty range_end that is written out', Buffer.concat([keyField, Buffer.from([0x12, 0])])],
    ['a negative limit', rangeRequest({ key, limit: -1n })],
    ['a negative revision', rangeRequest({ key, revision: -5n })],
    ['an order that does not exist', Buffer.concat([keyField, varint(5, [3])])],
    ['a target that does not exist', Buffer.concat([keyField, varint(6, [5])])],
    ['a field that comes twice', Buffer.concat([keyField, keyField])],
    ['a field of a newer etcd', Buffer.concat([keyField, varint(14, [1])])],
    ['a field of a much newer etcd', Buffer.concat([keyField, Buffer.from([0x88, 0x02, 1])])],
    ['another wire type', Buffer.concat([keyField, Buffer.from([0x1a, 1, 1])])],
    ['a number written too long', Buffer.concat([keyField, varint(3, [...Array(9).fill(0x80), 1])])],
    ['a number that is cut off', Buffer.concat([keyField, varint(3, [0x80])])],
    ['a key that is cut off', Buffer.from([0x0a, 5, 0x6b])],
    ['field zero', Buffer.concat([keyField, Buffer.from([0, 1])])],
  ];
  for (const [what, request] of odd)
    test(`${what}: left to etcd`, () => assert.equal(readRangeQuery(request), undefined));
});

describe('hot replies', () => {
  const query = readRangeQuery(
    rangeRequest({ key: Buffer.from('a'), rangeEnd: Buffer.from('c') }),
  ) as RangeQuery;
  const body = Buffer.alloc(5000, 'x');
  const put = (store: Store, key: string) => {
    const revision = store.applied + 1;
    store.put(new Version(key, revision, revision, 1, 'field'));
    store.applied = revision;
  };

  test('used until something in the range changes; its header is that of now', () => {
    const hot = new HotReplies();
    const store = new Store(5, 1000);
    for (let i = 0; i < 1000; i++) store.load(new Version(`b${i}`, 2, 2, 1, 'field'));
    for (let i = 0; i < 1000; i++) store.load(new Version(`x${i}`, 2, 2, 1, 'field'));
    hot.set('request', store, 5, Buffer.concat([Buffer.from('[5]'), body]), '[5]');
    assert.equal(hot.get('request', store, query, 5, '[5]')?.length, body.length + 3);
    put(store, 'x999');
    const moved = hot.get('request', store, query, 6, '[006]');
    assert.equal(moved?.toString('latin1', 0, 6), '[006]x');
    assert.equal(moved?.length, body.length + 5);
    put(store, 'b5');
    assert.equal(hot.get('request', store, query, 7, '[007]'), undefined);
    assert.equal(hot.bytes, 0);
  });

  test('used for the revision it was made for, however much has changed since, and for no other', () => {
    const hot = new HotReplies();
    const store = new Store(5, 1000);
    put(store, 'b');
    const reply = Buffer.concat([Buffer.from('[6]'), body]);
    hot.set('request', store, 6, reply, '[6]');
    put(store, 'b');
    put(store, 'b');
    assert.equal(hot.get('request', store, query, 6, '[6]'), reply);
    assert.equal(hot.get('request', store, query, 7, '[7]'), undefined);
    hot.set('request', store, 8, reply, '[8]');
    assert.equal(hot.get('request', store, query, 7, '[7]'), undefined, 'a newer one is not for the past');
  });

  test('not used for another store, which knows nothing of what was deleted before it began', () => {
    const hot = new HotReplies();
    const store = new Store(5, 1000);
    hot.set('request', store, 5, body, '');
    assert.ok(hot.get('request', store, query, 5, ''));
    assert.equal(hot.get('request', new Store(9, 1000), query, 9, ''), undefined);
  });

  test('bounded: the one that was used longest ago goes first', () => {
    const hot = new HotReplies();
    const store = new Store(5, 1000);
    const large = Buffer.alloc(1 << 20);
    for (let i = 0; i < 100; i++) {
      hot.set(`request ${i}`, store, 5, large, '');
      assert.ok(hot.get('request 0', store, query, 5, ''));
      assert.ok(hot.bytes <= HOT_REPLY_BYTES);
    }
    assert.equal(hot.get('request 1', store, query, 5, ''), undefined);
    assert.ok(hot.get('request 99', store, query, 5, ''));
  });
});

describe('fall-backs', () => {
  function start(waitMs: number) {
    const stats = new MirrorStats();
    const under: { request: string; answer: (reply: Uint8Array) => void }[] = [];
    const below = {
      read: (request: Uint8Array) =>
        new Promise<Uint8Array>((answer) => under.push({ request: Buffer.from(request).toString(), answer })),
    };
    return { stats, under, fallBacks: new FallBacks(below, { max: 2, waitMs }, stats) };
  }
  const names = ['a', 'b', 'c', 'd'];

  test('only so many at once, the others in the order of their coming', async () => {
    const { stats, under, fallBacks } = start(60_000);
    const calls = names.map(() => readCall());
    const outcomes = names.map((name, i) =>
      outcome(fallBacks.read(Buffer.from(name), calls[i] as (typeof calls)[0])),
    );
    assert.deepEqual(
      under.map(({ request }) => request),
      ['a', 'b'],
    );
    assert.equal(stats.queued, 2);
    calls[2]?.cancel();
    await settle();
    assert.equal(RpcError.from(outcomes[2]?.error).code, Code.CANCELLED);
    under[0]?.answer(Buffer.from('reply'));
    await settle();
    assert.deepEqual(
      under.map(({ request }) => request),
      ['a', 'b', 'd'],
    );
    under[2]?.answer(Buffer.from('last'));
    await settle();
    assert.equal(outcomes[3]?.reply?.toString(), 'last');
  });

  test('who waits for too long is told to come back', async () => {
    const { stats, under, fallBacks } = start(30);
    const outcomes = names.map((name) => outcome(fallBacks.read(Buffer.from(name), readCall())));
    await until('two are refused', () => stats.refused >= 2);
    await settle();
    const error = RpcError.from(outcomes[3]?.error);
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(error.message, /behind/);
    assert.equal(under.length, 2);
    assert.equal(outcomes[0]?.error, undefined);
  });
});
