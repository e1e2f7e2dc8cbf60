/** What clients ask for on a watch stream, as bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { KeyRanges } from '../../src/etcd/key-ranges.ts';
import { readRequest } from '../../src/etcd/watch-request.ts';
import { readResponse } from '../../src/etcd/watch-response.ts';
import { b } from '../support/watch-client.ts';

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
