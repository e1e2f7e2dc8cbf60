/** The parts of a feed that keep one invariant each: a watcher's position, the store that is known, the flow. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Header, NO_HEADER } from '../../src/etcd/header.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import type { EventRecord } from '../../src/etcd/watch-response.ts';
import { Audience } from '../../src/watch/audience.ts';
import type { Batch } from '../../src/watch/batch.ts';
import { batchesOf } from '../../src/watch/batch-draft.ts';
import { Flow } from '../../src/watch/flow.ts';
import { History, HistoryBudget } from '../../src/watch/history.ts';
import { KnownStore } from '../../src/watch/known-store.ts';
import { RangeMap } from '../../src/watch/range-map.ts';
import { Selection } from '../../src/watch/selection.ts';
import { Watcher, type WatcherFeed, type WatchSink } from '../../src/watch/watcher.ts';
import { MIB, PLAIN } from './scripted-hub.ts';

const headerAt = (revision: number, cluster = 'c'): Header => ({
  bytes: new Uint8Array(0),
  revision,
  cluster,
  member: 'm',
});

/** A batch with one event of each revision. */
function batchOf(revisions: readonly number[], header = revisions.at(-1) as number, size = 10): Batch {
  const source = Buffer.alloc(size);
  const records = revisions.map(
    (revision): EventRecord => ({
      source,
      key: 'k',
      revision,
      isDelete: false,
      start: 0,
      end: size,
      prevStart: 0,
      prevEnd: 0,
    }),
  );
  return batchesOf(headerAt(header), records, 0)[0] as Batch;
}

describe('the position of a watcher', () => {
  const range = new KeyRange('k', '');

  /** A watcher from revision 5 on, on a feed that has applied up to 9, and what it was sent: whether shared. */
  function placed() {
    const feed = { applied: 9 };
    const sent: boolean[] = [];
    const sink: Partial<WatchSink> = {
      blocked: false,
      sendEvents: (_watcher, _tail, shared) => sent.push(shared),
    };
    const watcher = new Watcher(sink as WatchSink, range, PLAIN, 1n, 5, 4);
    watcher.enter(feed as WatcherFeed, new Audience<Watcher>(range, 0));
    return { feed, sent, watcher };
  }

  test('is what it was sent while it walks, and what the feed has applied while it is synced', () => {
    const { feed, watcher } = placed();
    assert.equal(watcher.next, 5);
    const batch = batchOf([6, 7]);
    assert.ok(watcher.sendShared(batch, batch.bytes));
    assert.equal(watcher.next, 8);
    watcher.sync();
    assert.equal(watcher.next, 10);
    feed.applied = 20;
    assert.equal(watcher.next, 21);
  });

  test('stays when it follows no longer, and when it leaves', () => {
    const { feed, watcher } = placed();
    watcher.sync();
    watcher.unsync();
    feed.applied = 30;
    assert.equal(watcher.next, 10);
    watcher.leave();
    assert.equal(watcher.next, 10);
    assert.equal(watcher.feed, undefined);
  });

  test('it is never told that it is where it was not sent to, nor before what it has seen', () => {
    const { watcher } = placed();
    assert.equal(watcher.isAt(9), false);
    watcher.sync();
    assert.ok(watcher.isAt(9));
    const batch = batchOf([10, 11], 15);
    assert.ok(watcher.sendShared(batch, batch.bytes));
    assert.deepEqual(
      [10, 11, 14, 15].map((revision) => watcher.isAt(revision)),
      [false, false, false, true],
    );
  });

  test('a batch that begins before it, or that would take its revision back, is not sent as it is', () => {
    const { sent, watcher } = placed();
    assert.equal(watcher.sendShared(batchOf([4, 6]), Buffer.alloc(0)), false);
    const later = batchOf([4, 6], 40);
    const selection = new Selection(false);
    selection.add(later, 1);
    watcher.sendSelected(later, selection);
    assert.deepEqual([watcher.next, watcher.sentRevision], [7, 40]);
    assert.equal(watcher.sendShared(batchOf([8], 39), Buffer.alloc(0)), false);
    assert.deepEqual(sent, [false]);
  });
});

describe('the store that a feed knows', () => {
  test('is another one when its cluster is', () => {
    const store = new KnownStore(NO_HEADER);
    assert.equal(store.onHeader(headerAt(5), 5), false);
    assert.ok(store.isStoreOf(headerAt(3), 5, true));
    assert.equal(store.isStoreOf(headerAt(9, 'other'), 5, true), false);
    assert.ok(store.onHeader(headerAt(9, 'other'), 5));
  });

  test('may have lost what is beyond a member that a stream begins on', () => {
    const store = new KnownStore(NO_HEADER);
    store.onHeader(headerAt(8), 8);
    assert.equal(store.onBegan(8), false);
    assert.deepEqual([store.undoneUpTo, store.syncPoint], [0, 8]);
    store.onHeader(headerAt(6), 8);
    assert.ok(store.onBegan(8));
    assert.deepEqual([store.undoneUpTo, store.syncPoint], [8, Number.POSITIVE_INFINITY]);
    store.onHeader(headerAt(8), 8);
    assert.equal(store.syncPoint, 8);
  });

  test('without a stream is known only as far as it says itself', () => {
    const store = new KnownStore(NO_HEADER);
    store.onHeader(headerAt(8), 8);
    assert.deepEqual(
      [7, 8].map((revision) => store.isStoreOf(headerAt(revision), 8, false)),
      [false, true],
    );
  });
});

describe('the flow of a feed', () => {
  /** A feed with so many batches of a mebibyte, none of which its only watcher has read. */
  function unread(batches: number, catchesUp: boolean) {
    const history = new History(1, 1000, new HistoryBudget(100 * MIB));
    for (let i = 1; i <= batches; i++) history.push(batchOf([i], i, MIB));
    const stream = {
      parked: false,
      park(): void {
        this.parked = true;
      },
      unpark(): void {
        this.parked = false;
      },
    };
    let least = 1;
    const cursors = { allLagging: true, least: (): number => least, lagBlocked() {} };
    const subscribers = { size: 0 };
    const feed = { applied: batches, catchesUp, history, cursors, subscribers };
    const flow = new Flow(feed, stream);
    const read = (upTo: number): boolean => {
      least = upTo + 1;
      flow.look();
      return stream.parked;
    };
    return { cursors, history, read, subscribers };
  }

  test('stops when all watchers lag behind much, until half is read', () => {
    const { read } = unread(9, false);
    // Each batch takes a little more than its bytes.
    assert.deepEqual([0, 1, 5, 6].map(read), [true, true, true, false]);
  });

  test('goes on while a watcher keeps up, or a subscriber is there', () => {
    const one = unread(9, false);
    one.cursors.allLagging = false;
    assert.equal(one.read(0), false);
    const other = unread(9, false);
    other.subscribers.size = 1;
    assert.equal(other.read(0), false);
    assert.equal(unread(7, false).read(0), false);
  });

  test('of a catch-up stops sooner, and it remembers only what its watchers need', () => {
    const { history, read } = unread(3, true);
    assert.ok(read(1));
    assert.deepEqual([history.length, history.floor], [2, 2]);
  });
});

test('a map of ranges finds by key what stands for single keys and for ranges', () => {
  const map = new RangeMap<string>();
  const ranges = [new KeyRange('a', ''), new KeyRange('a', 'c'), new KeyRange('b', 'd')];
  for (const [i, range] of ranges.entries()) map.add(range, `${i}`);
  const at = (key: string): string[] => {
    const found: string[] = [];
    map.visit(key, (value) => found.push(value));
    return found.sort();
  };
  assert.deepEqual(['a', 'b', 'c', 'd'].map(at), [['0', '1'], ['1', '2'], ['2'], []]);
  assert.equal(map.get(new KeyRange('a', 'c')), '1');
  map.delete(ranges[1] as KeyRange);
  map.delete(ranges[0] as KeyRange);
  assert.deepEqual(['a', 'b'].map(at), [[], ['2']]);
  assert.deepEqual([...map.values()], ['2']);
});
