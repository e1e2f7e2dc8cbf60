/** What the covers of many ranges cost while they are made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CacheEntry } from '../../src/cache/cache-entry.ts';
import type { CoverOwner } from '../../src/cache/cover.ts';
import { Covers, type CoversOptions } from '../../src/cache/covers.ts';
import { CacheStats } from '../../src/cache/stats.ts';
import { TOKENLESS } from '../../src/clients/identity.ts';
import { Permissions } from '../../src/clients/permission.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import type { IdentityFeeds } from '../../src/watch/identity-feeds.ts';

/** Makes so many covers, for which so many feeds may be started. @returns how many there are then, and the looks at feeds */
function make(covers: number, maxFeeds: number): { readonly feeds: number; readonly looks: number } {
  let looks = 0;
  const feeds = {
    identity: TOKENLESS,
    subscribe: (range: KeyRange, _prevKv: boolean, _next: number, subscriber: unknown, start = true) => {
      const feed = {
        get cursors() {
          looks++;
          return { size: 0 };
        },
        subscribers: { size: 1 },
        unsubscribe: () => {},
      };
      return start ? { feed, range, subscriber } : undefined;
    },
  } as unknown as IdentityFeeds;
  const options = { permissions: new Permissions(), maxCovers: 1e6, maxBytes: 1e9, maxFeeds };
  const hub = { release: () => {} };
  const all = new Covers(
    { ...options, hub, readers: {}, stats: new CacheStats() } as unknown as CoversOptions,
    {} as CoverOwner<CacheEntry>,
  );
  const made = Array.from({ length: covers }, (_, i) =>
    all.make({ feeds, range: new KeyRange(`${i}`, ''), from: 1, now: 0, isShared: false }),
  );
  const before = looks;
  const there = all.feeds;
  for (const cover of made) if (cover !== undefined) all.remove(cover, false);
  return { feeds: there, looks: before };
}

test('one more feed is started without a look at all others', () => {
  const { feeds, looks } = make(2000, 1000);
  assert.deepEqual([feeds, looks <= 4000], [1000, true], `${looks} looks`);
});

test('as many as there may be are started, and no more', () => {
  for (const maxFeeds of [0, 1, 20]) assert.equal(make(100, maxFeeds).feeds, maxFeeds);
});
