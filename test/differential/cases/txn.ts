/** KV.Txn: compares of all kinds, both branches, nested transactions, and what etcd refuses. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type CompareSchema,
  KV,
  type RequestOpSchema,
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  type TxnRequestSchema,
} from '#gen/etcdserverpb/kv_pb.js';
import { type Case, calls, script } from '../case.ts';
import { at, b, rpc, under, zero } from '../rpc.ts';

const { txn, put, range } = KV.method;

type Op = MessageInitShape<typeof RequestOpSchema>;
type Condition = MessageInitShape<typeof CompareSchema>;
type Txn = MessageInitShape<typeof TxnRequestSchema>;

const getOp = (key: string): Op => ({ request: { case: 'requestRange', value: at(key) } });
const putOp = (key: string, value: string): Op => ({
  request: { case: 'requestPut', value: { ...at(key), value: b(value), prevKv: true } },
});
const deleteOp = (key: string): Op => ({
  request: { case: 'requestDeleteRange', value: { ...at(key), prevKv: true } },
});
const txnOp = (value: Txn): Op => ({ request: { case: 'requestTxn', value } });

const results = [Result.EQUAL, Result.GREATER, Result.LESS, Result.NOT_EQUAL];

/** One compare for every target, told by its value. */
const conditions: readonly (readonly [name: string, condition: Condition])[] = [
  ['version', { target: Target.VERSION, targetUnion: { case: 'version', value: 2n } }],
  ['create revision', { target: Target.CREATE, targetUnion: { case: 'createRevision', value: 0n } }],
  ['mod revision', { target: Target.MOD, targetUnion: { case: 'modRevision', value: 3n } }],
  ['value', { target: Target.VALUE, targetUnion: { case: 'value', value: b('2') } }],
  ['lease', { target: Target.LEASE, targetUnion: { case: 'lease', value: 0n } }],
  ['nothing', { target: Target.VALUE }],
  [
    'a target other than the value given',
    { target: Target.MOD, targetUnion: { case: 'version', value: 2n } },
  ],
  ['a target of an unknown number', { target: 99 as Target, targetUnion: { case: 'version', value: 2n } }],
];

const then: Txn = { success: [getOp('txn/a')], failure: [getOp('txn/b')] };

const compares = conditions.map(([name, condition]) =>
  calls(
    `txn: compare ${name}`,
    ...results.flatMap((result) => [
      rpc(txn, { ...then, compare: [{ ...at('txn/a'), ...condition, result }] }),
      rpc(txn, { ...then, compare: [{ ...at('txn/none'), ...condition, result }] }),
      rpc(txn, { ...then, compare: [{ ...under('txn/'), ...condition, result }] }),
    ]),
  ),
);

const many = (count: number, prefix: string): Op[] =>
  Array.from({ length: count }, (_, index) => putOp(`txn/many/${prefix}${index}`, 'x'));

const refused: readonly Case[] = [
  calls('txn: a key put twice', rpc(txn, { success: [putOp('txn/a', '1'), putOp('txn/a', '2')] })),
  calls('txn: a key put and deleted', rpc(txn, { success: [putOp('txn/a', '1'), deleteOp('txn/a')] })),
  calls(
    'txn: a key put in a range deleted',
    rpc(txn, {
      success: [putOp('txn/a', '1'), { request: { case: 'requestDeleteRange', value: under('txn/') } }],
    }),
  ),
  calls(
    'txn: a key put twice in the branch not taken',
    rpc(txn, {
      failure: [putOp('txn/a', '1'), putOp('txn/a', '2')],
    }),
  ),
  calls(
    'txn: a key put twice, once nested',
    rpc(txn, {
      success: [putOp('txn/a', '1'), txnOp({ success: [putOp('txn/a', '2')] })],
    }),
  ),
  calls('txn: 128 operations', rpc(txn, { success: many(128, 'a') })),
  calls('txn: 129 operations', rpc(txn, { success: many(129, 'b') })),
  calls('txn: 129 operations in the branch not taken', rpc(txn, { failure: many(129, 'c') })),
  calls(
    'txn: 129 compares',
    rpc(txn, {
      compare: Array.from({ length: 129 }, () => ({ ...at('txn/a'), target: Target.VERSION })),
    }),
  ),
  calls('txn: an empty operation', rpc(txn, { success: [{}] }), rpc(txn, { failure: [{}] })),
  calls(
    'txn: an operation that is no more than a name',
    ...(['requestRange', 'requestPut', 'requestDeleteRange', 'requestTxn'] as const).map((name) =>
      rpc(txn, { success: [{ request: { case: name, value: {} } } as Op] }),
    ),
  ),
  calls('txn: a compare without a key', rpc(txn, { compare: [{}] })),
  calls(
    'txn: a range of the future in it',
    rpc(txn, {
      success: [{ request: { case: 'requestRange', value: { ...at('txn/a'), revision: 1n << 40n } } }],
    }),
  ),
  calls(
    'txn: a put with a lease that is not there',
    rpc(txn, {
      success: [{ request: { case: 'requestPut', value: { ...at('txn/a'), lease: 404n } } }],
    }),
  ),
  calls(
    'txn: a put that ignores the value of no key',
    rpc(txn, {
      success: [{ request: { case: 'requestPut', value: { ...at('txn/none'), ignoreValue: true } } }],
    }),
  ),
];

export const txnCases: readonly Case[] = [
  calls(
    'txn: fill',
    ...['1', '2'].map((value) => rpc(put, { ...at('txn/a'), value: b(value) })),
    rpc(put, { ...at('txn/b'), value: b('3') }),
  ),
  calls('txn: empty', rpc(txn)),
  calls(
    'txn: one of each',
    rpc(txn, {
      success: [putOp('txn/c', '1'), getOp('txn/c'), getOp('txn/a'), deleteOp('txn/b'), deleteOp('txn/none')],
    }),
  ),
  calls(
    'txn: read only',
    rpc(txn, {
      success: [
        getOp('txn/a'),
        getOp('txn/none'),
        { request: { case: 'requestRange', value: under('txn/') } },
      ],
    }),
  ),
  calls(
    'txn: all the keys there are',
    rpc(txn, {
      success: [
        { request: { case: 'requestRange', value: { key: zero, rangeEnd: zero, countOnly: true } } },
        {
          request: {
            case: 'requestRange',
            value: { key: zero, rangeEnd: zero, limit: 1n, serializable: true },
          },
        },
      ],
    }),
  ),
  ...compares,
  calls(
    'txn: nested',
    rpc(txn, {
      success: [
        putOp('txn/n1', '1'),
        txnOp({
          compare: [{ ...at('txn/n1'), target: Target.VALUE, targetUnion: { case: 'value', value: b('1') } }],
          success: [putOp('txn/n2', '2'), txnOp({ success: [putOp('txn/n3', '3'), getOp('txn/n1')] })],
          failure: [putOp('txn/n4', '4')],
        }),
      ],
    }),
    rpc(range, under('txn/n')),
  ),
  ...refused,
  script('txn: only where nobody was in between', async (script) => {
    const { kvs } = await script.ask(range, at('txn/a'));
    const value = kvs[0]?.modRevision ?? 0n;
    const request: Txn = {
      compare: [{ ...at('txn/a'), target: Target.MOD, targetUnion: { case: 'modRevision', value } }],
      success: [putOp('txn/a', 'mine')],
      failure: [getOp('txn/a')],
    };
    await script.runAll([rpc(txn, request), rpc(txn, request)]);
  }),
];
