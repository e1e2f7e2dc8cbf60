/** Parts of the engine by themselves, where a whole connection seldom comes to their limits. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FrameReader } from '../../src/http2/frame-reader.ts';
import { HpackDecoder } from '../../src/http2/hpack/decoder.ts';
import { ErrorCode, type Http2Connection, type Http2Settings } from '../../src/http2/index.ts';
import { PingPolicy } from '../../src/http2/pings.ts';
import { RateLimit } from '../../src/http2/rate-limit.ts';
import { completeSettings } from '../../src/http2/settings.ts';
import { Timeouts } from '../../src/http2/timeouts.ts';
import { Watchdog } from '../../src/http2/watchdog.ts';
import * as raw from './support/raw-peer.ts';

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

test('a frame header that comes octet by octet is not read before it is whole', (t) => {
  // What a new buffer holds is left over from before: here, the length of a frame far over the limit.
  t.mock.method(Buffer, 'allocUnsafe', (size: number) => Buffer.alloc(size, 0xff));
  const seen: string[] = [];
  const sink = {
    stopped: false,
    frame: (type: number, flags: number, id: number, source: Buffer, start: number, end: number) =>
      seen.push(`${type} ${flags} ${id} ${source.toString('latin1', start, end)}`),
  };
  const reader = new FrameReader(sink, 16_384, false);
  const longest = 'x'.repeat(16_384);
  const bytes = Buffer.concat([raw.frame('DATA', 1, 3, Buffer.from(longest)), raw.frame('PING', 0, 0)]);
  for (const octet of bytes) reader.feed(Buffer.of(octet));
  assert.deepEqual(seen, [`0 1 3 ${longest}`, '6 0 0 ']);
  assert.equal(reader.incomplete, false);
});

test('settings take the extremes that the RFC allows, and nothing beyond', () => {
  for (const [name, least, most] of [
    ['initialWindowSize', 0, 0x7fffffff],
    ['connectionWindowSize', 65_535, 0x7fffffff],
    ['maxFrameSize', 16_384, 0xffffff],
    ['headerTableSize', 0, 0xffffffff],
    ['maxHeaderListSize', 1, 0xffffffff],
  ] as const) {
    for (const value of [least, most]) {
      assert.equal(completeSettings('client', { [name]: value })[name], value);
    }
    for (const value of [least - 1, most + 1])
      assert.throws(() => completeSettings('client', { [name]: value }), RangeError);
  }
});

test('HPACK index 0 is an error, whatever follows (RFC 7541 section 6.1)', () => {
  const decoder = new HpackDecoder(4096, 65_536);
  const block = Buffer.from([0x80, 1, 0x78, 1, 0x79]);
  assert.throws(() => decoder.decode(block, 0, block.length), { code: ErrorCode.COMPRESSION_ERROR });
});

describe('deadlines', () => {
  test('each expires once, the later ones too', async () => {
    const expired: number[] = [];
    const all = Promise.withResolvers<void>();
    const watchdog = new Watchdog((kind) => {
      expired.push(kind);
      if (expired.length === 3) all.resolve();
    });
    const alive = setInterval(() => {}, 1000); // the watchdog's timer does not keep the process
    const now = performance.now();
    watchdog.arm(2, 30, now);
    watchdog.arm(0, 10, now);
    watchdog.arm(1, 20, now);
    watchdog.arm(3, 15, now);
    watchdog.disarm(3);
    watchdog.arm(4, 0, now);
    await all.promise;
    clearInterval(alive);
    assert.deepEqual(expired, [0, 1, 2]);
    assert.ok([0, 1, 2, 3, 4].every((kind) => !watchdog.armed(kind)));
  });

  test('the time to write begins again with each progress, while more waits', async () => {
    const passed = Promise.withResolvers<string>();
    const connection = {
      settings: completeSettings('server', { writeTimeoutMs: 10 }),
      now: 0,
      timedOut: (limit: string) => passed.resolve(limit),
    };
    const timeouts = new Timeouts(connection as unknown as Http2Connection);
    const alive = setInterval(() => {}, 1000);
    timeouts.outputWaits();
    timeouts.outputMoved(true);
    assert.equal(await passed.promise, 'writeTimeoutMs');
    clearInterval(alive);
  });
});
