/** Which entries go when there is no room for all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { CacheEntry } from '../../src/cache/cache-entry.ts';
import type { Cover } from '../../src/cache/cover.ts';
import { EntryStore } from '../../src/cache/entry-store.ts';
import { type ParsedReply, parseReply } from '../../src/cache/parsed-reply.ts';

const message = toBinary(RangeResponseSchema, create(RangeResponseSchema, { header: { revision: 1n } }));
const reply = parseReply(message) as ParsedReply;

/** All of one length. */
const keyOf = (name: number): string => `key ${String(name).padStart(2, '0')}`;

/** Room for ten entries, and what had to go so far. */
function tenPlaces() {
  const gone: string[] = [];
  const sample = new CacheEntry(keyOf(0), {} as Cover<CacheEntry>, reply, 0);
  const store = new EntryStore(10 * sample.bytes, ({ key }) => gone.push(key));
  let now = 0;
  const add = (...names: number[]) => {
    for (const name of names) store.add(new CacheEntry(keyOf(name), {} as Cover<CacheEntry>, reply, ++now));
  };
  const use = (name: number) => {
    const entry = store.get(keyOf(name));
    assert.ok(entry !== undefined, keyOf(name));
    entry.usedAt = ++now;
  };
  return { store, gone, add, use, bytes: sample.bytes };
}

test('the oldest go first, a few at a time', () => {
  const { store, gone, add, bytes } = tenPlaces();
  add(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
  assert.deepEqual(gone, []);
  add(10);
  assert.deepEqual(gone, [keyOf(0), keyOf(1)]);
  assert.deepEqual([store.size, store.bytes], [9, 9 * bytes]);
});

test('one that was used stays once more, and goes when it was not used again', () => {
  const { gone, add, use, store } = tenPlaces();
  add(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
  use(0);
  use(2);
  add(10);
  assert.deepEqual(gone, [keyOf(1), keyOf(3)]);
  add(11, 12, 13, 14);
  assert.ok(store.get(keyOf(0)) !== undefined && store.get(keyOf(2)) !== undefined);
  use(2);
  add(15, 16, 17, 18, 19, 20, 21);
  assert.ok(store.get(keyOf(0)) === undefined && store.get(keyOf(2)) !== undefined);
});

test('where all were used, the oldest go all the same', () => {
  const { gone, add, use } = tenPlaces();
  add(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
  for (let name = 0; name < 10; name++) use(name);
  add(10);
  assert.deepEqual(gone, [keyOf(10), keyOf(0)]);
});

test('memory for something else takes room from entries, and gives it back', () => {
  const { store, gone, add, bytes } = tenPlaces();
  add(0, 1, 2, 3, 4);
  store.hold(6 * bytes);
  assert.deepEqual(gone, [keyOf(0), keyOf(1)]);
  store.hold(-6 * bytes);
  assert.equal(store.bytes, 3 * bytes);
});

test('what goes gives back other memory too, and the next one goes only after that, however many there are', () => {
  const { bytes } = tenPlaces();
  const all = 5000;
  let [gone, depth, deepest] = [0, 0, 0];
  const store = new EntryStore(2 * all * bytes, () => {
    deepest = Math.max(deepest, ++depth);
    gone++;
    store.hold(-bytes);
    depth--;
  });
  for (let name = 0; name < all; name++) {
    store.hold(bytes);
    store.add(new CacheEntry(String(name).padStart(keyOf(0).length), {} as Cover<CacheEntry>, reply, name));
  }
  assert.deepEqual([gone, store.size], [0, all]);
  store.hold(all * bytes);
  assert.equal(deepest, 1);
  assert.ok(gone > all / 2 && store.bytes <= 2 * all * bytes);
  assert.equal(store.bytes, (all + 2 * store.size) * bytes);
});
