/** JSON in pieces is what the library makes of the whole message, and no piece takes long. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { RangeResponseSchema, TxnResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { type JsonForm, jsonPieces } from '../../src/web/json-pieces.ts';
import { ETCD_FORM, etcdJson } from '../../src/web/json-text.ts';
import { METHOD_SCHEMAS } from '../../src/web/schemas.ts';

async function inPieces(schema: DescMessage, message: Uint8Array, form?: JsonForm) {
  const pieces: Uint8Array[] = [];
  let turns = 0;
  let over = false;
  const count = (): void => {
    turns++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  try {
    for await (const piece of jsonPieces(schema, message, form)) pieces.push(piece);
  } finally {
    over = true;
  }
  return {
    text: Buffer.concat(pieces).toString(),
    largest: Math.max(...pieces.map(({ length }) => length)),
    turns,
  };
}

/** Every type of message that etcd answers with. */
const schemas = METHOD_SCHEMAS.map(({ output }) => output);

/** A random value of a field, with its tag; large ones are frequent. */
function field(desc: DescField, random: () => number, depth: number, writer: BinaryWriter): void {
  const size = (): number => [0, 3, 100, 20_000, 60_001][Math.floor(random() * 5)] as number;
  const delimited = (bytes: Uint8Array): void => {
    writer.tag(desc.number, WireType.LengthDelimited).bytes(bytes);
  };
  if (desc.message !== undefined && desc.fieldKind !== 'map') {
    const count = desc.fieldKind === 'list' ? Math.floor(random() * 4) : 1;
    for (let i = 0; i < count; i++) delimited(message(desc.message, random, depth + 1));
  } else if (desc.fieldKind === 'scalar' || desc.fieldKind === 'list') {
    const scalar =
      desc.fieldKind === 'scalar' ? desc.scalar : desc.listKind === 'scalar' ? desc.scalar : undefined;
    if (scalar === ScalarType.BYTES) delimited(Buffer.alloc(size(), Math.floor(random() * 256)));
    else if (scalar === ScalarType.STRING)
      delimited(Buffer.from('text é " \\ \n 漢'.repeat(Math.ceil(size() / 20))));
    else if (scalar !== undefined && scalar !== ScalarType.DOUBLE && scalar !== ScalarType.FLOAT)
      writer
        .tag(desc.number, WireType.Varint)
        .uint32(scalar === ScalarType.BOOL ? 1 : Math.floor(random() * 2 ** 31));
  } else if (desc.fieldKind === 'enum') writer.tag(desc.number, WireType.Varint).uint32(0);
}

function message(schema: DescMessage, random: () => number, depth = 0): Uint8Array {
  const writer = new BinaryWriter();
  if (depth > 3) return writer.finish();
  const fields = schema.fields.toSorted(() => random() - 0.5);
  for (const desc of fields) {
    if (random() < 0.7) field(desc, random, depth, writer);
    // Again, or what nobody knows.
    if (random() < 0.05) field(desc, random, depth, writer);
    if (random() < 0.05) writer.tag(900, WireType.LengthDelimited).bytes(Buffer.alloc(30));
  }
  return writer.finish();
}

/** Numbers from 0 to 1 that a seed decides on. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) / 2 ** 24;
  };
}

test('random messages of every type: the same text', async (t) => {
  const cases = Number(process.env.JSON_CASES ?? 300);
  const first = Number(process.env.JSON_SEED ?? Math.floor(Math.random() * 2 ** 30));
  let large = 0;
  for (let seed = first; seed < first + cases; seed++) {
    const schema = schemas[seed % schemas.length] as DescMessage;
    const bytes = message(schema, numbersFrom(seed));
    if (bytes.length > 16 << 10) large++;
    const { text } = await inPieces(schema, bytes);
    const expected = toJsonString(schema, fromBinary(schema, bytes));
    assert.ok(text === expected, `JSON_SEED=${seed} ${schema.typeName}`);
  }
  t.diagnostic(`${large} of ${cases} messages were large`);
  assert.ok(large > cases / 20);
});

test('random messages of every type in the JSON of etcd, as they are and in order: what the library makes of them', async () => {
  const cases = Number(process.env.JSON_CASES ?? 300);
  const first = Number(process.env.JSON_SEED ?? Math.floor(Math.random() * 2 ** 30));
  for (let seed = first; seed < first + cases; seed++) {
    const schema = schemas[seed % schemas.length] as DescMessage;
    const odd = message(schema, numbersFrom(seed));
    for (const bytes of [odd, toBinary(schema, fromBinary(schema, odd))]) {
      const expected = toJsonString(schema, fromBinary(schema, bytes), { useProtoFieldName: true });
      const whole = etcdJson(schema, bytes);
      assert.deepEqual(JSON.parse(whole), JSON.parse(expected), `JSON_SEED=${seed} ${schema.typeName}`);
      const { text } = await inPieces(schema, bytes, ETCD_FORM);
      assert.deepEqual(JSON.parse(text), JSON.parse(expected), `JSON_SEED=${seed} ${schema.typeName}`);
    }
  }
});

test('numbers at their limits in the JSON of etcd', () => {
  const wide = [0n, 1n, 2n ** 49n - 1n, 2n ** 49n, 2n ** 53n + 1n, 2n ** 63n - 1n];
  for (const number of [...wide, ...wide.map((n) => -n), -(2n ** 63n)]) {
    const bytes = toBinary(RangeResponseSchema, create(RangeResponseSchema, { count: number }));
    assert.equal(etcdJson(RangeResponseSchema, bytes), number === 0n ? '{}' : `{"count":"${number}"}`);
  }
  for (const clusterId of [2n ** 64n - 1n, 2n ** 63n, 5n]) {
    const bytes = toBinary(RangeResponseSchema, create(RangeResponseSchema, { header: { clusterId } }));
    assert.equal(etcdJson(RangeResponseSchema, bytes), `{"header":{"cluster_id":"${clusterId}"}}`);
  }
});

test('bytes that are no message are not taken for one', () => {
  const header = { clusterId: 7n, revision: 9n };
  const bytes = toBinary(RangeResponseSchema, create(RangeResponseSchema, { header, more: true }));
  for (let length = 1; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    let expected: unknown;
    try {
      expected = JSON.parse(
        toJsonString(RangeResponseSchema, fromBinary(RangeResponseSchema, cut), { useProtoFieldName: true }),
      );
    } catch {
      assert.throws(() => etcdJson(RangeResponseSchema, cut));
      continue;
    }
    assert.deepEqual(JSON.parse(etcdJson(RangeResponseSchema, cut)), expected);
  }
});

describe('a large message', () => {
  const kv = (n: number, length: number) => ({
    key: Buffer.from(`key ${n}`),
    value: Buffer.alloc(length, n),
    modRevision: BigInt(n),
    lease: 2n ** 62n,
  });
  const header = { clusterId: 2n ** 63n, revision: 9n };
  const kvs = Array.from({ length: 50_000 }, (_, n) => kv(n, 100));
  const cases: readonly (readonly [string, DescMessage, Uint8Array])[] = [
    [
      'of many keys',
      RangeResponseSchema,
      toBinary(RangeResponseSchema, create(RangeResponseSchema, { header, kvs, more: true, count: 5n })),
    ],
    [
      'of one value',
      RangeResponseSchema,
      toBinary(RangeResponseSchema, create(RangeResponseSchema, { header, kvs: [kv(1, 8 << 20)] })),
    ],
    [
      'that has large ones within',
      TxnResponseSchema,
      toBinary(
        TxnResponseSchema,
        create(TxnResponseSchema, {
          header,
          succeeded: true,
          responses: [
            { response: { case: 'responseRange', value: { header, kvs } } },
            { response: { case: 'responsePut', value: { prevKv: kv(3, 1 << 20) } } },
          ],
        }),
      ),
    ],
    [
      'of events',
      WatchResponseSchema,
      toBinary(
        WatchResponseSchema,
        create(WatchResponseSchema, { header, events: kvs.map((one) => ({ kv: one, prevKv: one })) }),
      ),
    ],
  ];
  for (const [what, schema, bytes] of cases)
    test(`${what}: no piece is large, and others have their turns`, async () => {
      const { text, largest, turns } = await inPieces(schema, bytes);
      assert.ok(text === toJsonString(schema, fromBinary(schema, bytes)));
      assert.ok(largest <= 256 << 10, `${largest} bytes`);
      assert.ok(turns >= text.length / (256 << 10), `${turns} turns`);
    });

  test('bytes that are no message end with an error', async () => {
    const [, schema, bytes] = cases[0] as (typeof cases)[0];
    await assert.rejects(inPieces(schema, bytes.subarray(0, -3)));
  });
});
