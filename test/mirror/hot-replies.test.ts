/** Replies that are kept while nothing in their range changes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type RangeQuery, readRangeQuery } from '../../src/etcd/range-query.ts';
import { HOT_REPLY_BYTES, HotReplies } from '../../src/mirror/hot-replies.ts';
import { Store } from '../../src/mvcc/store.ts';
import { Version } from '../../src/mvcc/version.ts';
import { rangeRequest } from './support.ts';

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

  test('one that two reads made at the same time is counted once', () => {
    const hot = new HotReplies();
    const store = new Store(5, 1000);
    for (let i = 0; i < 3; i++) hot.set('request', store, 5, body, '');
    assert.ok(hot.get('request', store, query, 5, ''));
    assert.equal(hot.get('request', new Store(5, 1000), query, 5, ''), undefined);
    assert.equal(hot.bytes, 0);
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
