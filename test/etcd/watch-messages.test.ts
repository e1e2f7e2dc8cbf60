/** Watch messages that are read and written in short ways where they are as most are: they say the same as any other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { ResponseHeaderSchema } from '#gen/etcdserverpb/header_pb.js';
import { WatchRequestSchema, WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { readHeader } from '../../src/etcd/header.ts';
import { KeyRanges } from '../../src/etcd/key-ranges.ts';
import { encodeReply } from '../../src/etcd/watch-reply.ts';
import { readRequest } from '../../src/etcd/watch-request.ts';
import { b, type Create } from '../support/watch-client.ts';

test('a reply to a create is what protobuf makes of it', () => {
  for (const revision of [0n, 1n, 127n, 128n, 2n ** 53n])
    for (const id of [0n, 1n, 127n, 128n, 9999n, 10_000n, 2n ** 40n, 2n ** 63n - 1n, -1n, -5n]) {
      const header = create(ResponseHeaderSchema, {
        clusterId: 2n ** 64n - 1n,
        memberId: 2n ** 63n,
        revision,
        raftTerm: 3n,
      });
      const read = readHeader(toBinary(ResponseHeaderSchema, header));
      for (const more of [{}, { canceled: true, cancelReason: 'no' }, { compactRevision: 7n }]) {
        const { compactRevision = 0n, cancelReason = '', ...flags } = { canceled: false, ...more };
        const reply = {
          header: read,
          id,
          created: true,
          ...flags,
          compactRevision: Number(compactRevision),
          reason: cancelReason,
        };
        const response = { header, watchId: id, created: true, ...more };
        assert.deepEqual(
          Buffer.from(encodeReply(reply)),
          Buffer.from(toBinary(WatchResponseSchema, create(WatchResponseSchema, response))),
        );
      }
    }
});

/** A create whose length is written with one byte more than it needs. */
function atLength(message: Uint8Array): Uint8Array {
  const [tag, length] = message as unknown as [number, number];
  return Uint8Array.of(tag, length | 0x80, 0, ...message.subarray(2));
}

test('a short create is read as one that is written in another way', () => {
  const creates: Create[] = [
    {},
    { key: b('k') },
    { key: b('a'), rangeEnd: b('b'), startRevision: 12n, prevKv: true, watchId: 7n, fragment: true },
    { key: b('k'.repeat(123)), progressNotify: true },
  ];
  for (const value of creates) {
    const request = create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value } });
    const message = toBinary(WatchRequestSchema, request);
    assert.ok(message.length < 0x82);
    const ranges = new KeyRanges();
    const read = readRequest(message, ranges);
    assert.equal(read.kind, 'create');
    assert.deepEqual(read, readRequest(atLength(message), ranges));
    // What comes later counts.
    const cancel = Uint8Array.of(...message, 0x12, 0x02, 0x08, 0x05);
    assert.deepEqual(readRequest(cancel, ranges), { kind: 'cancel', id: 5n });
  }
  for (const broken of [[0x0a], [0x0a, 0x02, 0x0a], [0x0a, 0x02, 0x0a, 0x05], [0x0a, 0x01, 0x0a]])
    assert.throws(() => readRequest(Uint8Array.from(broken), new KeyRanges()), `${broken}`);
});
