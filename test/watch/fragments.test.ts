/** Large responses cut for clients that ask for fragments. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { headerField } from '../../src/etcd/header.ts';
import { Scanner } from '../../src/etcd/scanner.ts';
import { idField } from '../../src/etcd/watch-reply.ts';
import { type Fragment, Fragments } from '../../src/watch/fragments.ts';
import { response } from './responses.ts';

const ID = idField(7n);

/** All fragments of a response. */
function split(tail: Buffer, limit: number): Fragment[] {
  const fragments = new Fragments(ID, tail, limit);
  const taken: Fragment[] = [];
  for (let next = fragments.take(); next !== undefined; next = fragments.take()) taken.push(next);
  return taken;
}

test('fragments hold the same events, each with a header, and say that they are fragments', () => {
  const parts = split(Buffer.from(response([1, 2, 3, 4, 5], 1000)), 2500).map(({ head, events }) =>
    Buffer.concat([head, events]),
  );
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
  assert.ok(read.every(({ header, watchId }) => header?.revision === 99n && watchId === 7n));
});

test('fragments of one response are parts of it, found once for all watchers that get it', (context) => {
  const event = Buffer.concat([Buffer.of(0x5a, 100), Buffer.alloc(100)]);
  const tail = Buffer.concat([headerField(Buffer.of(0x18, 5)), ...Array.from({ length: 100 }, () => event)]);
  const skipped = context.mock.method(Scanner.prototype, 'skip');
  const first = split(tail, 1024);
  const once = skipped.mock.callCount();
  const second = split(tail, 1024);
  assert.equal(skipped.mock.callCount(), once);
  assert.ok(once > 0 && first.length > 1);
  assert.deepEqual(second, first);
  for (const { events } of first) assert.equal(events.buffer, tail.buffer);
});

test('an event that is larger than a fragment is one', () => {
  const parts = split(Buffer.from(response([1, 2, 3], 5000)), 2500);
  assert.equal(parts.length, 3);
});
