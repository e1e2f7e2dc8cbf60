/** How often a peer may send PINGs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Http2Settings } from '../../src/http2/index.ts';
import { PingPolicy } from '../../src/http2/pings.ts';
import { completeSettings } from '../../src/http2/settings.ts';

describe('the policy on PINGs', () => {
  const policy = (given: Partial<Http2Settings>): PingPolicy =>
    new PingPolicy(completeSettings('server', { minPingIntervalMs: 5000, maxPingStrikes: 0, ...given }));

  test('a PING is a strike when it comes before its time, not at it', () => {
    const one = policy({});
    const allowed = [0, 5000, 10_000, 14_999].map((now) => one.allow(now, 1, 0));
    assert.deepEqual(allowed, [true, true, true, false]);
  });

  test('strikes are forgiven up to their number, and whenever something was sent', () => {
    const one = policy({ maxPingStrikes: 2 });
    assert.deepEqual(
      [0, 1, 2, 3].map((now) => one.allow(now, 1, 0)),
      [true, true, true, false],
    );
    assert.deepEqual(
      [4, 5, 6, 7].map((now) => one.allow(now, 1, 1)),
      [true, true, true, false],
    );
  });

  test('without streams the longer time counts, unless that is permitted', () => {
    const times = [0, 10_000, 20_000];
    const strict = policy({ minIdlePingIntervalMs: 60_000 });
    assert.deepEqual(
      times.map((now) => strict.allow(now, 0, 0)),
      [true, false, false],
    );
    const lenient = policy({ minIdlePingIntervalMs: 60_000, permitWithoutStream: true });
    assert.deepEqual(
      times.map((now) => lenient.allow(now, 0, 0)),
      [true, true, true],
    );
  });
});
