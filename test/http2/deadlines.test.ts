/** Deadlines, and the timer that all of a connection share. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Http2Connection } from '../../src/http2/index.ts';
import { completeSettings } from '../../src/http2/settings.ts';
import { Timeouts } from '../../src/http2/timeouts.ts';
import { Watchdog } from '../../src/http2/watchdog.ts';

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
      onTimedOut: (limit: string) => passed.resolve(limit),
    };
    const timeouts = new Timeouts(connection as unknown as Http2Connection);
    const alive = setInterval(() => {}, 1000);
    timeouts.onOutputWaits();
    timeouts.onOutputMoved(true);
    assert.equal(await passed.promise, 'writeTimeoutMs');
    clearInterval(alive);
  });

  test('a peer has to acknowledge SETTINGS once it is there, however long it took to get there', async () => {
    const passed = Promise.withResolvers<string>();
    const limits: string[] = [];
    const connection = {
      settings: completeSettings('client', { settingsTimeoutMs: 10, prefaceTimeoutMs: 0 }),
      exchange: { ready: false },
      now: 0,
      onTimedOut: (limit: string) => {
        limits.push(limit);
        passed.resolve(limit);
      },
    };
    const timeouts = new Timeouts(connection as unknown as Http2Connection);
    timeouts.start(performance.now());
    await sleep(50);
    assert.deepEqual(limits, []);
    const alive = setInterval(() => {}, 1000);
    connection.now = performance.now();
    timeouts.onPreface();
    assert.equal(await passed.promise, 'settingsTimeoutMs');
    clearInterval(alive);
  });
});
