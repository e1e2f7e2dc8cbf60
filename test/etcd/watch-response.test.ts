/** Watch responses as bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ResponseHeaderSchema } from '#gen/etcdserverpb/header_pb.js';
import { readHeader, withRevision } from '../../src/etcd/header.ts';

test('a header with another revision is otherwise the same', () => {
  const value = { clusterId: 7n, memberId: 2n ** 64n - 1n, revision: 5n, raftTerm: 2n };
  const header = readHeader(toBinary(ResponseHeaderSchema, create(ResponseHeaderSchema, value)));
  for (const revision of [0, 5, 123_456_789_012]) {
    const { bytes } = withRevision(header, revision);
    const { $typeName: _, ...read } = fromBinary(ResponseHeaderSchema, bytes);
    assert.deepEqual(read, { ...value, revision: BigInt(revision) });
  }
});
