/** KV.Range and KV.RangeStream with all their options. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  KV,
  RangeRequest_SortOrder as Order,
  RangeRequest_SortTarget as Target,
} from '#gen/etcdserverpb/kv_pb.js';
import { atLeast } from '../../support/etcd.ts';
import { type Case, calls, script } from '../case.ts';
import { at, b, rpc, under, zero } from '../rpc.ts';
import type { Script } from '../script.ts';

const { range, rangeStream, put, deleteRange } = KV.method;
type RangeInit = MessageInitShape<typeof range.input>;

const all = under('range/');

/** The ways to ask for a range, each asked of Range and of RangeStream. */
const questions: readonly (readonly [name: string, request: RangeInit])[] = [
  ['one key', at('range/b')],
  ['one key, serializable', { ...at('range/b'), serializable: true }],
  ['a key that is not there', at('range/none')],
  ['a prefix', all],
  ['a prefix, serializable', { ...all, serializable: true }],
  ['from a key to another', { ...at('range/b'), rangeEnd: b('range/d') }],
  ['from a key on', { ...at('range/c'), rangeEnd: zero, limit: 2n }],
  ['the whole key space', { key: zero, rangeEnd: zero }],
  ['the whole key space, count only', { key: zero, rangeEnd: zero, countOnly: true }],
  ['a limit with more to come', { ...all, limit: 2n }],
  ['a limit that is exactly enough', { ...all, limit: 5n }],
  ['a limit that is more than enough', { ...all, limit: 50n }],
  ['a negative limit', { ...all, limit: -1n }],
  ['keys only', { ...all, keysOnly: true }],
  ['count only', { ...all, countOnly: true }],
  ['count only with a limit', { ...all, countOnly: true, limit: 1n }],
  ['keys and count only', { ...all, keysOnly: true, countOnly: true }],
  ['an end before the key', { ...at('range/d'), rangeEnd: b('range/b') }],
  ['an end that is the key', { ...at('range/d'), rangeEnd: b('range/d') }],
  ['a negative revision', { ...all, revision: -1n }],
  ['an empty key', {}],
  ['an empty key with an end', { rangeEnd: b('range/b') }],
  ['a key of any bytes', { key: Uint8Array.of(0, 255, 128, 10) }],
  ['an order of an unknown number', { ...all, sortOrder: 99 as Order }],
  ['least mod revision beyond all', { ...all, minModRevision: 1n << 60n }],
  ['most mod revision before all', { ...all, maxModRevision: 1n }],
  ['least create revision beyond all', { ...all, minCreateRevision: 1n << 60n }],
  ['most create revision before all', { ...all, maxCreateRevision: 1n }],
];

const orders = [Order.NONE, Order.ASCEND, Order.DESCEND];
const targets = [Target.KEY, Target.VERSION, Target.CREATE, Target.MOD, Target.VALUE];
const sorts = orders.flatMap((sortOrder) => targets.map((sortTarget) => ({ ...all, sortOrder, sortTarget })));

/** Asks for revisions that are known only now. */
async function byRevision(script: Script): Promise<void> {
  const { header, kvs } = await script.ask(range, all);
  const now = header?.revision ?? 0n;
  const [first, second] = kvs.map((kv) => kv.modRevision);
  const requests: readonly RangeInit[] = [
    { ...all, revision: now },
    { ...all, revision: first ?? 0n },
    { ...all, revision: (second ?? 0n) - 1n, serializable: true },
    { ...at('range/b'), revision: second ?? 0n, keysOnly: true },
    { ...all, revision: now + 1n },
    { ...all, revision: now + 1000n, serializable: true },
    { ...all, minModRevision: second ?? 0n },
    { ...all, maxModRevision: second ?? 0n },
    { ...all, minCreateRevision: second ?? 0n, limit: 1n },
    { ...all, maxCreateRevision: second ?? 0n, countOnly: true },
    { ...all, minModRevision: first ?? 0n, maxModRevision: now, sortOrder: Order.DESCEND, limit: 2n },
  ];
  for (const request of requests) {
    await script.run(rpc(range, request));
    await script.run(rpc(rangeStream, request));
  }
}

const fill: readonly Case[] = [
  calls('range: an empty store', rpc(range, { key: zero, rangeEnd: zero }), rpc(range, at('nothing'))),
  calls(
    'range: fill',
    ...['e', 'b', 'd', 'a', 'c', 'b', 'a', 'b', 'gone'].map((name, index) =>
      rpc(put, { ...at(`range/${name}`), value: b(`value ${9 - index}`) }),
    ),
    rpc(deleteRange, at('range/gone')),
  ),
];

/** What changes nothing. */
export const rangeReads: readonly Case[] = [
  ...questions.map(([name, request]) =>
    calls(`range: ${name}`, rpc(range, request), rpc(rangeStream, request)),
  ),
  {
    ...calls(
      'range: a target of an unknown number',
      rpc(range, { ...all, sortOrder: 99 as Order, sortTarget: 99 as Target }),
    ),
    skip: (install) => !atLeast(install, 3, 6) && 'etcd ends by it before 3.6',
  },
  calls('range: every order by every target', ...sorts.map((request) => rpc(range, request))),
  calls(
    'range: sorted and limited',
    ...sorts.map((request) => rpc(range, { ...request, limit: 2n, keysOnly: true })),
  ),
  script('range: revisions of the past, the present and the future', byRevision),
];

export const rangeCases: readonly Case[] = [...fill, ...rangeReads];
