/** What an idle watch leaves in memory: bytes of a watcher, and tables of a feed, since there may be very many of both. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { queryObjects } from 'node:v8';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { Watcher, type WatchSink } from '../../src/watch/watcher.ts';
import { collectGarbage } from '../support/garbage.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import { PLAIN, ScriptedHub } from './scripted-hub.ts';

/** Eleven fields, and the three words that each object has. */
const WATCHER_BYTES = 14 * 8;
/** Where its own fields end is known to V8 after the first few. */
const FIRST_FEW = 100;

/** How many Maps and Sets there are in this process. */
function tables(): { maps: number; sets: number } {
  collectGarbage();
  return {
    maps: queryObjects(Map, { format: 'count' }),
    sets: queryObjects(Set, { format: 'count' }),
  };
}

describe('what is kept of an idle watch', () => {
  test('a watcher is one small object', () => {
    const sink = {} as WatchSink;
    const range = new KeyRange('k', '');
    const make = (): Watcher => new Watcher(sink, range, PLAIN, 1n, 5, 4);
    const count = 50_000;
    const watchers: (Watcher | undefined)[] = new Array(count).fill(undefined);
    for (let i = 0; i < FIRST_FEW; i++) watchers[i] = make();
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < count; i++) watchers[i] = make();
    collectGarbage();
    const bytes = (process.memoryUsage().heapUsed - before) / count;
    assert.equal(watchers.at(-1)?.next, 5);
    assert.ok(bytes <= WATCHER_BYTES + 4, `${bytes.toFixed(1)} bytes`);
  });

  test('a feed has a table of its watchers, and the places where it is found', async () => {
    const feeds = 64;
    using at = new ScriptedHub();
    const client = at.client();
    const watch = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) {
        for (let j = 0; j < 2; j++) client.watch({ key: b(`k${i}`) });
        await at.created(`k${i}`);
        await until('the replies', () => client.responses.length === 2 * (i + 1));
      }
    };
    await watch(0, 1);
    const before = tables();
    await watch(1, feeds + 1);
    assert.deepEqual([at.hub.stats.feeds, at.hub.stats.watchers], [feeds + 1, 2 * (feeds + 1)]);
    const after = tables();
    const grown = [(after.maps - before.maps) / feeds, (after.sets - before.sets) / feeds];
    // The map of the keys that are watched; the synced watchers, and the feeds of the range. A few more are the hub's.
    assert.ok((grown[0] as number) <= 1.25 && (grown[1] as number) <= 2.25, `${grown} maps and sets a feed`);
  });
});
