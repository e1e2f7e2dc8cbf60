/** The revision that clients have been told, read from the bytes of etcd's replies. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  PutResponseSchema,
  RangeResponseSchema,
  RangeStreamResponseSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { headerField, headerOf, withRevision } from '../../src/etcd/header.ts';

interface Fields {
  readonly clusterId?: bigint;
  readonly memberId?: bigint;
  readonly revision: bigint;
  readonly raftTerm?: bigint;
}

const full = (header: Fields): Fields => ({
  clusterId: 7n,
  memberId: 2n ** 63n + 5n,
  raftTerm: 3n,
  ...header,
});

function put(header: Fields): Uint8Array {
  return toBinary(PutResponseSchema, create(PutResponseSchema, { header: full(header) }));
}

describe('the seen revision', () => {
  test('is the one of a header to which a proxy behind this one has given another revision', () => {
    const seen = new SeenRevision();
    const header = withRevision(headerOf(put({ revision: 5n })), 9);
    assert.equal(seen.saw(headerField(header.bytes)), 9);
    const first = withRevision(headerOf(put({ revision: 0n })), 11);
    assert.equal(seen.saw(headerField(first.bytes)), 11);
    const last = withRevision(headerOf(put({ revision: 5n, raftTerm: 0n })), 12);
    assert.equal(seen.saw(headerField(last.bytes)), 12);
    assert.equal(seen.replacements, 0);
  });

  test('is the highest one in any header, whatever follows it', () => {
    const id = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
    const revisions = fc.array(fc.tuple(fc.bigInt({ min: 1n, max: 2n ** 50n }), id, fc.nat(3)), {
      minLength: 1,
    });
    fc.assert(
      fc.property(id, revisions, fc.nat(400), (clusterId, all, size) => {
        const seen = new SeenRevision();
        const kvs = [{ key: new Uint8Array(size), value: new Uint8Array(size) }];
        for (const [revision, memberId, kind] of all) {
          const header = { clusterId, memberId, revision, raftTerm: 9n };
          if (kind === 0) seen.saw(toBinary(PutResponseSchema, create(PutResponseSchema, { header })));
          if (kind === 1)
            seen.saw(toBinary(RangeResponseSchema, create(RangeResponseSchema, { header, kvs })));
          if (kind === 2) {
            const rangeResponse = { header, kvs };
            seen.saw(
              toBinary(RangeStreamResponseSchema, create(RangeStreamResponseSchema, { rangeResponse })),
            );
          }
          if (kind === 3) seen.saw(toBinary(WatchResponseSchema, create(WatchResponseSchema, { header })));
        }
        assert.equal(seen.revision, Math.max(...all.map(([revision]) => Number(revision))));
        assert.equal(seen.replacements, 0);
      }),
    );
  });

  test('starts anew when another cluster answers, and says so first', () => {
    const seen = new SeenRevision();
    const told: number[] = [];
    seen.onReplaced(() => told.push(seen.revision));
    seen.saw(put({ revision: 100n }));
    seen.saw(put({ revision: 7n }));
    assert.equal(seen.revision, 100);
    seen.saw(put({ clusterId: 8n, revision: 12n }));
    assert.equal(seen.revision, 12);
    assert.deepEqual(told, [100]);
    seen.saw(put({ clusterId: 2n ** 64n - 1n, revision: 3n }));
    assert.equal(seen.revision, 3);
    assert.equal(seen.replacements, 2);
  });

  test('does not move by bytes that are no reply of etcd', () => {
    const seen = new SeenRevision();
    seen.saw(put({ revision: 5n }));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        if (bytes[0] === 0x0a) bytes[0] = 0x12;
        seen.saw(bytes);
        assert.equal(seen.revision, 5);
      }),
    );
    const whole = put({ revision: 2n ** 40n });
    for (let length = 0; length < whole.length; length++) new SeenRevision().saw(whole.subarray(0, length));
    for (const cut of [[], [0x0a], [0x0a, 5, 0x08], [0x0a, 0xff, 0xff], [0x0a, 2, 0x08, 1]])
      seen.saw(Uint8Array.from(cut));
    assert.equal(seen.revision, 5);
    assert.equal(seen.replacements, 0);
  });
});
