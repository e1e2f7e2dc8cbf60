/** What is understood of a Range request. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type RangeQuery, readRangeQuery } from '../../src/etcd/range-query.ts';
import { rangeRequest } from '../mirror/support.ts';

describe('requests', () => {
  const key = Buffer.from('k');
  const varint = (field: number, value: number[]) => Buffer.from([field << 3, ...value]);
  const keyField = Buffer.from([0x0a, 1, 0x6b]);

  test('every field is read', () => {
    const query = readRangeQuery(
      rangeRequest({
        key,
        rangeEnd: Buffer.from('m'),
        limit: 3n,
        revision: 4n,
        sortOrder: 2,
        sortTarget: 3,
        serializable: true,
        keysOnly: true,
        countOnly: true,
        minModRevision: 5n,
        maxModRevision: 6n,
        minCreateRevision: 7n,
        maxCreateRevision: 8n,
      }),
    );
    const expected: Partial<RangeQuery> = {
      start: 'k',
      end: 'm',
      rangeEnd: 'm',
      limit: 3,
      revision: 4,
      order: 2,
      target: 3,
      serializable: true,
      keysOnly: true,
      countOnly: true,
      minMod: 5,
      maxMod: 6,
      minCreate: 7,
      maxCreate: 8,
    };
    assert.deepEqual({ ...query }, expected);
    assert.equal(readRangeQuery(rangeRequest({ key }))?.end, 'k\0');
    assert.ok((readRangeQuery(rangeRequest({ key, rangeEnd: Buffer.from('\0') }))?.end ?? '') > '\xff\xff');
  });

  const odd: readonly (readonly [string, Uint8Array])[] = [
    ['no key', rangeRequest({ rangeEnd: Buffer.from('m') })],
    ['an empty range', rangeRequest({ key, rangeEnd: Buffer.from('a') })],
    ['an empty range_end that is written out', Buffer.concat([keyField, Buffer.from([0x12, 0])])],
    ['a negative limit', rangeRequest({ key, limit: -1n })],
    ['a negative revision', rangeRequest({ key, revision: -5n })],
    ['an order that does not exist', Buffer.concat([keyField, varint(5, [3])])],
    ['a target that does not exist', Buffer.concat([keyField, varint(6, [5])])],
    ['a field that comes twice', Buffer.concat([keyField, keyField])],
    ['a field of a newer etcd', Buffer.concat([keyField, varint(14, [1])])],
    ['a field of a much newer etcd', Buffer.concat([keyField, Buffer.from([0x88, 0x02, 1])])],
    ['another wire type', Buffer.concat([keyField, Buffer.from([0x1a, 1, 1])])],
    ['a number written too long', Buffer.concat([keyField, varint(3, [...Array(9).fill(0x80), 1])])],
    ['a number that is cut off', Buffer.concat([keyField, varint(3, [0x80])])],
    ['a key that is cut off', Buffer.from([0x0a, 5, 0x6b])],
    ['field zero', Buffer.concat([keyField, Buffer.from([0, 1])])],
  ];
  for (const [what, request] of odd)
    test(`${what}: left to etcd`, () => assert.equal(readRangeQuery(request), undefined));
});
