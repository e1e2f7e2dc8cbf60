/** How often something may happen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from '../../src/http2/rate-limit.ts';

test('a rate limit lets a whole burst through, and then as many as the rate allows', () => {
  const limit = new RateLimit(10, 3, 5000);
  const taken = [5000, 5000, 5000, 5000, 5200, 5200].map((now) => limit.take(now));
  assert.deepEqual(taken, [true, true, true, false, true, false]);
});

test('a rate limit is not exceeded again before what was too much is paid, or 20 s have passed', () => {
  const limit = new RateLimit(10, 3, 5000);
  assert.equal(limit.take(5000, 5), false);
  assert.deepEqual([limit.hasRoom(5299), limit.hasRoom(5300)], [false, true]);
  assert.equal(limit.take(5300, 1e6), false);
  assert.deepEqual([limit.hasRoom(25_399), limit.hasRoom(25_400)], [false, true]);
});

test('a rate limit of 0 is none', () => {
  const limit = new RateLimit(0, 0, 0);
  assert.ok(limit.take(0, 1e9));
});

test('a rate limit that was not used for long allows a burst, not more', () => {
  const limit = new RateLimit(10, 3, 0);
  limit.take(5000);
  const taken = [100_000, 100_000, 100_000, 100_000].map((now) => limit.take(now));
  assert.deepEqual(taken, [true, true, true, false]);
});
