/** The parts of the hub that are pure: ranges, the interval tree, histories, requests, fragments, headers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ResponseHeaderSchema } from '#gen/etcdserverpb/header_pb.js';
import { WatchRequestSchema, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { KeyRanges } from '../../src/etcd/key-ranges.ts';
import {
  type EventRecord,
  type Header,
  readHeader,
  readResponse,
  withRevision,
} from '../../src/etcd/watch-response.ts';
import { batchesOf } from '../../src/watch/batch.ts';
import { splitTail } from '../../src/watch/fragments.ts';
import { History, HistoryBudget } from '../../src/watch/history.ts';
import { IntervalTree } from '../../src/watch/interval-tree.ts';
import { readRequest } from '../../src/watch/requests.ts';
import { progressIsSafe } from '../../src/watch/versions.ts';
import { b } from '../support/watch-client.ts';

const key = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\xff'), maxLength: 3 });

/** A response with events of these revisions, each with a value and one in two with `prev_kv`. */
function response(revisions: readonly number[], size = 10): Uint8Array {
  const events = revisions.map((revision, i) => ({
    kv: { key: b(`k${i}`), modRevision: BigInt(revision), value: new Uint8Array(size) },
    ...(i % 2 === 0 ? {} : { prevKv: { key: b(`k${i}`), value: new Uint8Array(200) } }),
  }));
  const header = { clusterId: 1n, memberId: 2n ** 63n + 1n, revision: 99n, raftTerm: 3n };
  return toBinary(WatchResponseSchema, create(WatchResponseSchema, { header, events }));
}

/** Header and events of an encoded response. */
function read(bytes: Buffer): [Header, readonly EventRecord[]] {
  const { header, events } = readResponse(bytes);
  return [header, events];
}

describe('ranges', () => {
  test('contain keys as etcd has it', () => {
    const everything = new KeyRange('', '\0');
    fc.assert(
      fc.property(key, key, key, (start, end, probe) => {
        const range = new KeyRange(start, end);
        const from = start === '' ? '\0' : start;
        const inside = end === '' ? probe === from : probe >= from && (end === '\0' || probe < end);
        assert.equal(range.contains(probe), inside && !range.empty);
        if (probe !== '') assert.ok(everything.contains(probe));
      }),
    );
  });

  test('the tree finds exactly the ranges that contain a key', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, key, fc.boolean())), key, (wanted, probe) => {
        const tree = new IntervalTree<string>();
        const kept = new Map<string, KeyRange>();
        for (const [start, end, keep] of wanted) {
          const range = new KeyRange(start, end);
          if (range.empty || kept.has(range.id)) continue;
          tree.add(range, range.id);
          if (keep) kept.set(range.id, range);
          else tree.remove(range);
        }
        const found: string[] = [];
        tree.visit(probe, (id) => found.push(id));
        const expected = [...kept.values()].filter((range) => range.contains(probe)).map(({ id }) => id);
        assert.deepEqual(found.sort(), expected.sort());
      }),
    );
  });
});

describe('batches and histories', () => {
  test('a batch is the events that etcd sent, byte for byte, those already applied left out', () => {
    const message = response([5, 5, 6, 9]);
    const { header, events } = readResponse(message);
    const [whole] = batchesOf(header, events, 4);
    assert.deepEqual(
      fromBinary(WatchResponseSchema, Uint8Array.from(whole?.bytes ?? [])),
      fromBinary(WatchResponseSchema, message),
    );
    assert.deepEqual([whole?.first, whole?.revision, whole?.revisions], [5, 9, 3]);
    const [rest] = batchesOf(header, events, 5);
    assert.deepEqual(
      rest?.events.map(({ revision }) => revision),
      [6, 9],
    );
    assert.deepEqual(batchesOf(header, events, 9), []);
  });

  test('a large response is kept as it came, unless that would keep more alive than it is', () => {
    const bytes = response([7, 8], 100_000);
    const [kept] = batchesOf(...read(Buffer.from(bytes)), 0);
    const own = new ArrayBuffer(bytes.length);
    const alone = Buffer.from(own);
    alone.set(bytes);
    const [adopted] = batchesOf(...read(alone), 0);
    assert.equal(adopted?.bytes.buffer, own);
    // Within something larger, without its first revision, or under another header, it is a copy.
    const larger = Buffer.concat([bytes, Buffer.alloc(bytes.length)]);
    const [within] = batchesOf(...read(larger.subarray(0, bytes.length)), 0);
    const [cut] = batchesOf(...read(alone), 7);
    const [apart] = batchesOf(...read(alone), 0, true);
    for (const batch of [within, cut, apart]) {
      assert.notEqual(batch?.bytes.buffer, own);
      assert.equal(batch?.bytes.buffer.byteLength, batch?.bytes.length);
    }
    for (const batch of [kept, adopted, within]) {
      assert.deepEqual(Buffer.from(batch?.bytes ?? []), Buffer.from(bytes));
      assert.deepEqual(batch?.events, adopted?.events);
    }
    const second = fromBinary(WatchResponseSchema, cut?.bytes ?? new Uint8Array());
    const plain = (events: typeof second.events): unknown[] =>
      events.map((event) => [event.kv?.modRevision, Buffer.from(event.kv?.value ?? [])]);
    assert.deepEqual(plain(second.events), plain(fromBinary(WatchResponseSchema, bytes).events.slice(1)));
  });

  test('large responses are cut between revisions only', () => {
    const { header, events } = readResponse(response([1, 2, 2, 2, 3, 4], 400_000));
    const batches = batchesOf(header, events, 0);
    assert.deepEqual(
      batches.map((batch) => [batch.first, batch.revision]),
      [
        [1, 2],
        [3, 4],
      ],
    );
  });

  test('the floor follows what is forgotten, and the budget holds', () => {
    const budget = new HistoryBudget(5000);
    const history = new History(1, 1000, budget);
    for (let revision = 1; revision <= 100; revision++) {
      const { header, events } = readResponse(response([revision]));
      for (const batch of batchesOf(header, events, revision - 1)) history.push(batch);
      budget.enforce();
      assert.ok(budget.bytes <= 5000);
      assert.equal(history.at(0)?.revision, history.floor);
      assert.equal(history.find(history.floor), 0);
      assert.equal(history.at(history.find(revision))?.revision, revision);
    }
    assert.ok(history.floor > 50);
    history.release();
    assert.equal(budget.bytes, 0);
  });

  /** A history with so many batches, of a kilobyte or so each. */
  function filled(budget: HistoryBudget, batches: number, kept = false): History {
    const history = new History(1, 1000, budget);
    history.kept = kept;
    for (let revision = 1; revision <= batches; revision++) {
      const { header, events } = readResponse(response([revision], 500));
      for (const batch of batchesOf(header, events, revision - 1)) history.push(batch);
    }
    return history;
  }

  test('what lies before a watcher is counted wherever the history has been cut', () => {
    const history = filled(new HistoryBudget(1e9), 300);
    for (const floor of [1, 2, 70, 150, 290, 301]) {
      history.forgetBefore(floor);
      for (const next of [1, floor, floor + 5, 300, 301]) {
        let cost = 0;
        for (let at = history.find(next); at < history.length; at++) cost += history.at(at)?.cost ?? 0;
        assert.equal(history.bytesFrom(next), cost, `from ${next}, with a floor of ${floor}`);
      }
    }
  });

  test('the largest history gives, and the small ones keep all they have', () => {
    const budget = new HistoryBudget(100_000);
    const small = Array.from({ length: 20 }, () => filled(budget, 1));
    const large = filled(budget, 120);
    budget.enforce();
    assert.ok(small.every((history) => history.length === 1));
    assert.ok(budget.bytes <= 90_000 && budget.bytes > 85_000, `${budget.bytes}`);
    assert.ok(large.length > 50);
  });

  test('those that are kept give only what is over half, and the others the rest', () => {
    const budget = new HistoryBudget(100_000);
    const kept = filled(budget, 40, true);
    const other = filled(budget, 120);
    const before = kept.bytes;
    assert.ok(before < 45_000);
    budget.enforce();
    assert.deepEqual([kept.bytes, budget.bytes <= 90_000], [before, true]);
    const more = Array.from({ length: 10 }, () => filled(budget, 40, true));
    budget.enforce();
    const all = [kept, ...more].reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(all <= 45_000 && budget.bytes <= 90_000, `${all} of ${budget.bytes}`);
    assert.ok(other.bytes > 30_000, `${other.bytes}`);
  });
});

describe('messages', () => {
  test('fragments hold the same events, each with a header, and say that they are fragments', () => {
    const parts = splitTail(Buffer.from(response([1, 2, 3, 4, 5], 1000)), 2, 2500);
    const read = parts.map((part) => fromBinary(WatchResponseSchema, part));
    assert.ok(parts.length > 1 && parts.every((part) => part.length < 2500));
    assert.deepEqual(
      read.flatMap(({ events }) => events.map(({ kv }) => Number(kv?.modRevision))),
      [1, 2, 3, 4, 5],
    );
    assert.deepEqual(
      read.map(({ fragment }) => fragment),
      [...parts.slice(1).map(() => true), false],
    );
    assert.ok(read.every(({ header }) => header?.revision === 99n));
  });

  test('a header with another revision is otherwise the same', () => {
    const value = { clusterId: 7n, memberId: 2n ** 64n - 1n, revision: 5n, raftTerm: 2n };
    const header = readHeader(toBinary(ResponseHeaderSchema, create(ResponseHeaderSchema, value)));
    for (const revision of [0, 5, 123_456_789_012]) {
      const { bytes } = withRevision(header, revision);
      const { $typeName: _, ...read } = fromBinary(ResponseHeaderSchema, bytes);
      assert.deepEqual(read, { ...value, revision: BigInt(revision) });
    }
  });

  test('garbage is refused, never misread', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const ranges = new KeyRanges();
        for (const read of [(bytes: Uint8Array) => readRequest(bytes, ranges), readResponse]) {
          try {
            read(bytes);
          } catch (error) {
            assert.ok(error instanceof Error);
          }
        }
      }),
    );
    const value = { key: b('k'), startRevision: -1n, watchId: 2n ** 62n, filters: [0, 1] };
    const request = create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value } });
    const read = readRequest(toBinary(WatchRequestSchema, request), new KeyRanges());
    assert.ok(read.kind === 'create');
    assert.deepEqual(
      [read.start, read.id, read.options.noPut, read.options.noDelete],
      [-1, 2n ** 62n, true, true],
    );
  });

  test('releases whose progress responses can be trusted', () => {
    for (const version of ['3.4.31', '3.5.13', '3.6.0', '3.7.3', '3.8.0-alpha.0', '4.0.0'])
      assert.ok(progressIsSafe(version), version);
    for (const version of ['3.4.30', '3.5.12', '3.3.27', '', 'unknown', '2.3.8'])
      assert.ok(!progressIsSafe(version), version);
  });
});
