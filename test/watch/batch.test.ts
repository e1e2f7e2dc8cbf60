/** Batches: what is kept of a response of etcd and passed on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { readResponse } from '../../src/etcd/watch-response.ts';
import { Audience } from '../../src/watch/audience.ts';
import { batchesOf } from '../../src/watch/batch-draft.ts';
import { read, response } from './responses.ts';

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

test('a response is one batch, however large it is', () => {
  const { header, events } = readResponse(response([1, 2, 2, 2, 3, 4], 400_000));
  const batches = batchesOf(header, events, 0);
  assert.deepEqual(
    batches.map((batch) => [batch.first, batch.revision]),
    [[1, 4]],
  );
});

test('what several watchers get of it is made once, and lives no longer than its delivery', async () => {
  const [batch] = batchesOf(...read(Buffer.from(response([7, 8]))), 0);
  assert.ok(batch !== undefined);
  const audience = new Audience<object>(new KeyRange('k0', ''), 0);
  audience.size = 2;
  const [one, two] = [audience.encode(batch), audience.encode(batch)];
  assert.ok(one !== undefined && one !== batch.bytes);
  assert.equal(two, one);
  await Promise.resolve();
  assert.notEqual(audience.encode(batch), one);
});
