/** Ranges that the cache watches though it remembers no answer of theirs: their long keys are bounded too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { setUp } from '../cache/place.ts';
import { bytes } from '../reads/clients.ts';

const MAX_BYTES = 1 << 18;

test('ranges with long keys whose answers are too large to be remembered', async () => {
  await using held = new AsyncDisposableStack();
  const { cache, direct, through, hub } = await setUp(held, { maxBytes: MAX_BYTES });
  // as when a client watches them
  const feeds = hub.feedsOf(clientIdentityOf(NO_METADATA));
  feeds.subscribe(new KeyRange('free/', 'free0'), false, 2, { onBatch: () => {}, onEnd: () => {} });
  const value = new Uint8Array(MAX_BYTES / 8);
  for (let i = 0; i < 60; i++) {
    const key = bytes(`free/${i}`.padEnd(4000, 'k'));
    await direct.put({ key, value });
    for (let times = 0; times < 3; times++) await through.range({ key, serializable: true });
    assert.ok(cache.bytes <= MAX_BYTES, `${cache.bytes} bytes of ${cache.covers} ranges`);
  }
  assert.ok(cache.covers > 0 && cache.stats.limits.covers > 0, 'the bound was reached');
});
