/** The JSON that etcd's gateway takes: what it means, what it does not, and where a body is taken apart. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { LeaseGrantRequestSchema } from '#gen/etcdserverpb/lease_pb.js';
import { WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { firstMessage } from '../../src/web/json-message.ts';
import { BadJson } from '../../src/web/json-scalars.ts';
import { JsonValues } from '../../src/web/json-values.ts';

const meaning = (schema: DescMessage, body: string): unknown =>
  toJson(schema, fromBinary(schema, firstMessage(schema, Buffer.from(body))), { useProtoFieldName: true });

describe('a message from JSON', () => {
  const taken: readonly (readonly [DescMessage, string, object])[] = [
    [
      PutRequestSchema,
      '{"key":"YQ","lease":7587862094632915973}',
      { key: 'YQ==', lease: '7587862094632915973' },
    ],
    [PutRequestSchema, '{"lease":"-9223372036854775808"}', { lease: '-9223372036854775808' }],
    [PutRequestSchema, '{"lease":9007199254740993.0}', { lease: '9007199254740993' }],
    [PutRequestSchema, '{"lease":900719925474099300e-2}', { lease: '9007199254740993' }],
    [PutRequestSchema, '{"lease":0.000,"key":""}', {}],
    [PutRequestSchema, '{"ignoreLease":true,"ignore_value":false}', { ignore_lease: true }],
    [
      RangeRequestSchema,
      '{"sort_order":"DESCEND","sortTarget":4}',
      { sort_order: 'DESCEND', sort_target: 'VALUE' },
    ],
    [RangeRequestSchema, '{"sort_order":"of tomorrow","limit":"1"}', { limit: '1' }],
    [RangeRequestSchema, '{"key":"-_8","range_end":"+/8="}', { key: '+/8=', range_end: '+/8=' }],
    [LeaseGrantRequestSchema, '{"TTL":1,"ID":"2","id":3}', { TTL: '1', ID: '2' }],
    [WatchRequestSchema, '{"create_request":{}}', { create_request: {} }],
    [
      WatchRequestSchema,
      '{"create_request":{"filters":["NODELETE",0],"watch_id":1}}',
      { create_request: { filters: ['NODELETE', 'NOPUT'], watch_id: '1' } },
    ],
    [WatchRequestSchema, '{"create_request":null,"progress_request":{}} x', { progress_request: {} }],
  ];
  for (const [schema, body, expected] of taken)
    test(body, () => assert.deepEqual(meaning(schema, body), expected));

  const refused: readonly (readonly [DescMessage, string | Uint8Array])[] = [
    [PutRequestSchema, '{"key":12345678901234567890}'],
    [PutRequestSchema, '{"key":{}}'],
    [PutRequestSchema, '{"lease":9223372036854775808}'],
    [PutRequestSchema, '{"lease":1e-400}'],
    [PutRequestSchema, '{"lease":1e999999999}'],
    [PutRequestSchema, '{"prev_kv":"true"}'],
    [RangeRequestSchema, '{"sort_order":2147483648}'],
    [WatchRequestSchema, '{"create_request":{"filters":[null]}}'],
    [WatchRequestSchema, '{"create_request":{"filters":7}}'],
    [WatchRequestSchema, '{"create_request":{},"cancel_request":{}}'],
    [WatchRequestSchema, '{"create_request":9007199254740993}'],
    [RangeRequestSchema, Buffer.from('7b226b6579223a22ff227d', 'hex')],
  ];
  for (const [schema, body] of refused)
    test(`refused: ${String(body)}`, () => {
      assert.throws(() => firstMessage(schema, Buffer.from(body)), BadJson);
    });
});

describe('values of a body', () => {
  const bodies: readonly (readonly [string, readonly string[], string | undefined])[] = [
    ['', [], undefined],
    [' \n', [], undefined],
    ['{}{"a":"}{\\"]"} [1,[2]]\n', ['{}', '{"a":"}{\\"]"}', '[1,[2]]'], undefined],
    ['{"a":', [], '{"a":'],
    ['null {} 7', ['null', '{}'], '7'],
    ['1{}', ['1', '{}'], undefined],
    ['}{}', ['}', '{}'], undefined],
    ['"a\\\\" "b', ['"a\\\\"'], '"b'],
  ];
  for (const [body, expected, rest] of bodies) {
    test(JSON.stringify(body), () => {
      for (const size of [1, 2, 3, 100]) {
        const values = new JsonValues();
        const found: string[] = [];
        for (let at = 0; at < body.length; at += size)
          found.push(
            ...Array.from(values.push(Buffer.from(body.slice(at, at + size))), (value) =>
              Buffer.from(value).toString(),
            ),
          );
        assert.deepEqual(found, expected);
        const last = values.rest();
        assert.equal(last && Buffer.from(last).toString(), rest);
      }
    });
  }
});
