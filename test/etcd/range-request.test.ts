/** Requests read in place agree with requests decoded, and whatever is unusual is left to etcd. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { MOST_FIELDS } from '../../src/etcd/bounded-fields.ts';
import { COUNT_ONE } from '../../src/etcd/own-requests.ts';
import { Kind, kindOf, rangeOf } from '../../src/etcd/range-kind.ts';
import { readRangeQuery } from '../../src/etcd/range-query.ts';
import { rangeRequest } from '../../src/etcd/range-request.ts';

const encode = (fields: MessageInitShape<typeof RangeRequestSchema>): Uint8Array =>
  toBinary(RangeRequestSchema, create(RangeRequestSchema, fields));

const key = fc.uint8Array({ maxLength: 200 });
const number = fc.oneof(fc.constant(0n), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
const fields = fc.record({
  key,
  rangeEnd: key,
  limit: number,
  revision: fc.oneof(fc.constant(0n), number),
  sortOrder: fc.constantFrom(0, 1, 2),
  sortTarget: fc.constantFrom(0, 1, 2, 3, 4),
  serializable: fc.boolean(),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minModRevision: number,
  maxModRevision: number,
  minCreateRevision: number,
  maxCreateRevision: number,
});

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

describe('RangeRequests in place', () => {
  test('are of the kind that their fields make them, and of their range', () => {
    fc.assert(
      fc.property(fields, (request) => {
        const bytes = encode(request);
        const kind = kindOf(bytes);
        const serializable = request.revision === 0n ? Kind.present : Kind.unfit;
        assert.equal(kind, request.serializable ? serializable : Kind.other);
        if (kind !== Kind.present) return;
        const range = rangeOf(bytes);
        const [start, end] = [text(request.key), text(request.rangeEnd)];
        const empty = start === '' || (end !== '' && end !== '\0' && end <= start);
        assert.equal(range === undefined, empty);
        if (range === undefined) return;
        assert.equal(range.start, start);
        assert.equal(range.contains(start), true);
        if (end > start && end !== `${start}\0`) assert.equal(range.contains(end), false);
      }),
      { numRuns: 2000 },
    );
  });

  test('whatever bytes come: only what decodes to a serializable read of the present is one', () => {
    const pieces = fc.array(
      fc.oneof(
        fields.map(encode),
        fc.uint8Array({ maxLength: 6 }),
        fc.constantFrom(
          Uint8Array.of(0x38, 1),
          Uint8Array.of(0x38, 0),
          Uint8Array.of(0x38, 0x80, 0),
          Uint8Array.of(0x38, 0x80, 0x80, 0),
          Uint8Array.of(0x38, 0x81, 0x80, 0x80, 0x80, 0x80, 0),
          Uint8Array.of(0x20, 0x80, 0x80, 0),
          Uint8Array.of(0x0a, 0x81, 0, 0x61),
          Uint8Array.of(0x82, 1, 1, 0),
          Uint8Array.of(0x0a),
        ),
      ),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(pieces, (parts) => {
        const bytes = Uint8Array.from(Buffer.concat(parts));
        if (kindOf(bytes) !== Kind.present) return;
        const decoded = fromBinary(RangeRequestSchema, bytes);
        assert.equal(decoded.serializable, true);
        assert.equal(decoded.revision, 0n);
        assert.equal(decoded.$unknown, undefined);
        const range = rangeOf(bytes);
        if (range !== undefined) assert.equal(range.start, text(decoded.key));
      }),
      { numRuns: 20_000 },
    );
  });

  test('an empty range_end that is written out: of no kind that is remembered, since etcd takes it for no end', () => {
    const request = Buffer.concat([
      encode({ key: Buffer.from('a'), serializable: true }),
      Buffer.of(0x12, 0),
    ]);
    assert.equal(kindOf(request), Kind.unfit);
    // The last one counts.
    assert.equal(kindOf(Buffer.concat([request, Buffer.of(0x12, 1, 0x62)])), Kind.present);
  });

  test('a tag of more than 32 bits is another field to etcd than its lower bits are', () => {
    const key = encode({ key: Buffer.from('a') });
    // 2^32 + 0x38, and 0x38 is `serializable`.
    const request = Buffer.concat([key, Buffer.of(0xb8, 0x80, 0x80, 0x80, 0x10, 1)]);
    assert.equal(kindOf(request), Kind.other);
    assert.equal(readRangeQuery(request), undefined);
  });

  test('of very many fields are not read: few bytes may unpack to millions', () => {
    const request = encode({ key: Buffer.from('a'), serializable: true });
    const unknown = (count: number) => Buffer.concat(Array.from({ length: count }, () => Buffer.of(0x70, 1)));
    assert.equal(kindOf(Buffer.concat([request, unknown(MOST_FIELDS - 2)])), Kind.unfit);
    assert.equal(kindOf(Buffer.concat([request, unknown(MOST_FIELDS - 1)])), Kind.other);
  });

  test('for a mirror have every field that they were encoded with, or are left to etcd', () => {
    fc.assert(
      fc.property(fields, (request) => {
        const query = readRangeQuery(encode(request));
        const [start, end] = [text(request.key), text(request.rangeEnd)];
        const numbers = [request.limit, request.revision, request.minModRevision, request.maxModRevision];
        numbers.push(request.minCreateRevision, request.maxCreateRevision);
        const empty = start === '' || (end !== '' && end !== '\0' && end <= start);
        assert.equal(query === undefined, empty || numbers.some((value) => value < 0n));
        if (query === undefined) return;
        const { limit, revision, minMod, maxMod, minCreate, maxCreate } = query;
        for (const [i, read] of [limit, revision, minMod, maxMod, minCreate, maxCreate].entries()) {
          const encoded = Number(numbers[i]);
          // Beyond 2^53 numbers are not exact.
          assert.ok(Math.abs(read - encoded) <= encoded * Number.EPSILON * 4, `${read} for ${encoded}`);
        }
        assert.deepEqual([query.start, query.rangeEnd], [start, end]);
        assert.deepEqual([query.order, query.target], [request.sortOrder, request.sortTarget]);
        const { serializable, keysOnly, countOnly } = query;
        assert.partialDeepStrictEqual(request, { serializable, keysOnly, countOnly });
      }),
      { numRuns: 2000 },
    );
  });

  test('are written as the library writes them', () => {
    const latin1 = (text: string) => Buffer.from(text, 'latin1');
    for (const [own, fields] of [
      [
        { key: '\0', countOnly: true },
        { key: latin1('\0'), countOnly: true },
      ],
      [
        { key: 'a', rangeEnd: '\xff' },
        { key: latin1('a'), rangeEnd: latin1('\xff') },
      ],
      [
        { key: 'a', rangeEnd: '', limit: 1, revision: 2 ** 40, serializable: true },
        { key: latin1('a'), limit: 1n, revision: 2n ** 40n, serializable: true },
      ],
    ] as const)
      assert.deepEqual(rangeRequest(own), encode(fields));
    assert.deepEqual(COUNT_ONE, encode({ key: latin1('\0'), countOnly: true }));
  });
});
