/** Large responses cut for clients that ask for fragments. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { headerField } from '../../src/etcd/header.ts';
import { splitTail } from '../../src/watch/fragments.ts';
import { response } from './responses.ts';

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

test('fragments of one response are the same bytes for all watchers of one turn', () => {
  const event = Buffer.concat([Buffer.of(0x5a, 100), Buffer.alloc(100)]);
  const tail = Buffer.concat([headerField(Buffer.of(0x18, 5)), ...Array.from({ length: 100 }, () => event)]);
  const [first] = splitTail(tail, 2, 1024);
  assert.equal(splitTail(tail, 2, 1024)[0], first);
});
