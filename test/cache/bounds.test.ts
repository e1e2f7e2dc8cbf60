/** What the cache holds, and that it holds no more. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { KV } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { bytes } from '../reads/clients.ts';
import { until } from '../support/until.ts';
import { type Place, serializable, setUp } from './place.ts';

/** Different keys that are read; 1 000 000 takes a minute. */
const KEYS = Number(process.env.CACHE_KEYS ?? 30_000);
const MAX_BYTES = 1 << 18;
const MAX_FEEDS = 20;

describe('bounds', () => {
  const held = new AsyncDisposableStack();
  let place: Place;
  before(async () => {
    place = await setUp(held, { maxBytes: MAX_BYTES, maxFeeds: MAX_FEEDS });
    // as when a client watches them
    const feeds = place.hub.feedsOf(clientIdentityOf(NO_METADATA));
    const free = new KeyRange('free/', 'free0');
    feeds.subscribe(free, false, 2, { onBatch: () => {}, onEnd: () => {} });
  });
  after(() => held.disposeAsync());

  const ask = (key: string): Uint8Array | Promise<Uint8Array> =>
    place.cache.unary(serializable({ key: bytes(key) }), new OwnCall(KV.Range, NO_METADATA, Infinity));

  /** Reads keys, many at a time. */
  async function readAll(name: string, count: number, times: number): Promise<void> {
    for (let i = 0; i < count; i += 500) {
      for (let round = 0; round < times; round++) {
        const reads = Array.from({ length: Math.min(500, count - i) }, (_, j) => ask(`${name}/${i + j}`));
        await Promise.all(reads);
      }
    }
  }

  test('K8: keys that are read once leave nothing behind', async () => {
    await readAll('once', KEYS, 1);
    const { cache, hub } = place;
    assert.deepEqual([cache.entries, cache.covers, cache.bytes, cache.feeds], [0, 0, 0, 0]);
    assert.equal(hub.stats.feeds, 1);
  });

  test('room is made by dropping what was not used', async () => {
    const { cache, direct, warm } = place;
    const value = new Uint8Array(6000);
    const variants = Array.from({ length: 60 }, (_, limit) => ({
      key: bytes('free/large'),
      limit: BigInt(limit),
    }));
    await direct.put({ key: bytes('free/large'), value });
    for (const variant of variants) {
      await warm(variant);
      assert.ok(cache.bytes <= MAX_BYTES);
    }
    assert.ok(cache.stats.evicted > 0);
  });

  test('an answer that is too large is not remembered', async () => {
    const { cache, through, direct } = place;
    const key = bytes('free/huge');
    await direct.put({ key, value: new Uint8Array(MAX_BYTES / 8) });
    for (let i = 0; i < 5; i++) await through.range({ key, serializable: true });
    assert.ok(cache.stats.limits.entry_bytes > 0);
    const { hits } = cache.stats;
    await through.range({ key, serializable: true });
    assert.equal(cache.stats.hits, hits);
  });

  test('keys that are read again and again take no more feeds than they may', async () => {
    const { cache, hub } = place;
    const before = cache.entries;
    await readAll('often', 2000, 4);
    // What was not used for ten seconds goes: on a slow machine, some may have gone by now.
    assert.ok(cache.feeds <= MAX_FEEDS, `${cache.feeds} feeds`);
    assert.equal(hub.stats.feeds, 1 + cache.feeds);
    assert.ok(cache.entries > before && cache.entries <= before + MAX_FEEDS);
    assert.ok(cache.stats.limits.feeds > 0, 'the bound was reached');
  });

  test('on a feed that is there anyway, as many are remembered as the bytes allow, and the used ones stay', async () => {
    const { cache, warm } = place;
    await warm({ key: bytes('free/hot') });
    const covers = MAX_BYTES / 2048;
    const { feeds } = cache;
    const { evicted } = cache.stats;
    for (let i = 0; i < 10; i++) {
      await readAll(`free/${i}`, 20, 3);
      assert.ok(cache.bytes <= MAX_BYTES, `${cache.bytes} bytes`);
      assert.ok(cache.covers <= covers, `${cache.covers} ranges`);
    }
    assert.ok(cache.stats.limits.covers > 0 || cache.stats.evicted > evicted);
    const { hits } = cache.stats;
    assert.ok(ask('free/hot') instanceof Uint8Array);
    assert.equal(cache.stats.hits, hits + 1);
    assert.ok(cache.feeds <= feeds, 'the ridden feed costs nothing');
  });

  test('ranges whose answers are gone are bounded too', async () => {
    const { cache, direct } = place;
    const { covers: refused } = cache.stats.limits;
    for (let i = 0; i < 20 && cache.stats.limits.covers === refused; i++) {
      const name = `free/gone/${i}`;
      const { changed } = cache.stats;
      const before = cache.entries;
      await readAll(name, 20, 3);
      const keys = Array.from({ length: 20 }, (_, j) => bytes(`${name}/${j}`));
      await Promise.all(keys.map((key) => direct.put({ key })));
      await until('the events', () => cache.entries <= before);
      assert.ok(cache.stats.changed > changed || cache.stats.limits.covers > refused);
      assert.ok(cache.covers <= MAX_BYTES / 2048);
    }
    assert.ok(cache.stats.limits.covers > refused);
  });
});
