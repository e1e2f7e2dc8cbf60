/** A huge batch is taken into a mirror in steps, and is all there in the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { readResponse } from '../../src/etcd/watch-response.ts';
import { takeBatch, takeInSlices } from '../../src/mirror/batch-intake.ts';
import type { Batch } from '../../src/watch/batch.ts';
import { batchesOf } from '../../src/watch/batch-draft.ts';
import { b } from '../support/watch-client.ts';

const COUNT = 20_000;

/** A store that counts what it is given. */
class Counted {
  readonly applied = 0;
  readonly changes: string[] = [];
  put({ key }: { readonly key: string }): void {
    this.changes.push(`+${key}`);
  }
  delete(key: string): void {
    this.changes.push(`-${key}`);
  }
}

function batch(): Batch {
  const events = Array.from({ length: COUNT }, (_, i) => ({
    type: i % 2,
    kv: { key: b(`${i % 3 === 0 ? 'm/' : 'other/'}${i}`), modRevision: 5n },
  }));
  const message = toBinary(
    WatchResponseSchema,
    create(WatchResponseSchema, { header: { revision: 5n }, events }),
  );
  const response = readResponse(message);
  return batchesOf(response.header, response.events, 0)[0] as Batch;
}

const range = new KeyRange('m/', 'm0');

test('a huge batch is taken in steps, and nothing more once the store is given up', () => {
  const huge = batch();
  const [whole, sliced] = [new Counted(), new Counted()];
  takeBatch({ store: whole, range }, huge);
  assert.equal(whole.changes.length, Math.ceil(COUNT / 3));
  let most = 0;
  let before = 0;
  for (const _ of takeInSlices({ store: sliced, range }, huge, () => true)) {
    most = Math.max(most, sliced.changes.length - before);
    before = sliced.changes.length;
  }
  assert.deepEqual(sliced.changes, whole.changes);
  assert.ok(most < COUNT / 3 / 4, `${most} in one step`);
  const left = new Counted();
  for (const _ of takeInSlices({ store: left, range }, huge, () => left.changes.length === 0));
  assert.ok(left.changes.length > 0 && left.changes.length < COUNT / 3 / 4);
});
