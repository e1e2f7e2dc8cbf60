/**
 * Random transactions that only read, through a proxy that mirrors the prefix and directly to etcd, on old and new
 * releases: the same bytes. Those that a mirror does not understand must find their way to etcd.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { type TxnRequest, TxnRequestSchema, TxnResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { readTxnQuery } from '../../src/etcd/txn-request.ts';
import { bytes, connect, lightClientOf } from '../reads/clients.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { outerEtcds } from '../support/releases.ts';
import { fallBacks, hits, outcomeOf, PREFIX, PREFIX_END, TXN, untilServing } from './support.ts';

const CASES = Number(process.env.MIRROR_CASES ?? 400);
const SEED = Number(process.env.MIRROR_SEED ?? Math.floor(Math.random() * 2 ** 31));
const KEYS = Array.from({ length: 8 }, (_, i) => `${PREFIX}${i}`);

const key = fc.constantFrom(...KEYS);
const ends = fc.constantFrom('', '', PREFIX_END, `${PREFIX}5`);
const number = fc.constantFrom(0n, 1n, 2n, 5n, 8n);
const operand = fc.oneof(
  number.map((value) => ({ target: 0, targetUnion: { case: 'version' as const, value } })),
  number.map((value) => ({ target: 1, targetUnion: { case: 'createRevision' as const, value } })),
  number.map((value) => ({ target: 2, targetUnion: { case: 'modRevision' as const, value } })),
  fc
    .constantFrom('', 'a', 'b')
    .map((text) => ({ target: 3, targetUnion: { case: 'value' as const, value: bytes(text) } })),
  number.map((value) => ({ target: 4, targetUnion: { case: 'lease' as const, value } })),
  fc.integer({ min: 0, max: 3 }).map((target) => ({ target })),
);
const comparison = fc
  .tuple(key, ends, fc.integer({ min: 0, max: 3 }), operand)
  .map(([k, end, result, what]) => ({ key: bytes(k), rangeEnd: bytes(end), result, ...what }));
const range = fc
  .record({
    key,
    end: ends,
    limit: fc.constantFrom(0n, 0n, 2n),
    sortOrder: fc.constantFrom(0, 0, 2),
    keysOnly: fc.boolean(),
    countOnly: fc.constantFrom(false, false, true),
    serializable: fc.boolean(),
  })
  .map(({ key: k, end, ...rest }) => ({
    request: { case: 'requestRange' as const, value: { key: bytes(k), rangeEnd: bytes(end), ...rest } },
  }));
const transactions = fc.record({
  compare: fc.array(comparison, { maxLength: 3 }),
  success: fc.array(range, { maxLength: 3 }),
  failure: fc.array(range, { maxLength: 3 }),
});

function encode(fields: object): Uint8Array {
  return toBinary(TxnRequestSchema, create(TxnRequestSchema, fields as TxnRequest));
}

function comparable(reply: Uint8Array | string): string {
  if (typeof reply === 'string') return reply;
  const { header } = fromBinary(TxnResponseSchema, reply);
  return `${header?.revision} ${Buffer.from(reply.subarray(2 + (reply[1] as number))).toString('latin1')}`;
}

describe('transactions that only read', async () => {
  for (const install of await outerEtcds()) {
    test(`etcd ${install.version}`, { timeout: 120_000 + CASES * 50 }, async (t) => {
      t.diagnostic(`MIRROR_SEED=${SEED}`);
      await using held = new AsyncDisposableStack();
      const etcd = held.use(await startEtcd({ install }));
      const direct = connect(etcd.first.address);
      held.defer(() => direct.close());
      const writer = lightClientOf(etcd.first.address, held);
      const proxy = held.use(
        await startProxy({
          endpoints: etcd.endpoints,
          flags: [`--cache-prefix=${PREFIX}`, '--cache-wait=15s'],
        }),
      );
      const mirrored = connect(proxy.address);
      held.defer(() => mirrored.close());
      await untilServing(proxy.url);
      let done = 0;
      for (const drawn of fc.sample(transactions, { numRuns: CASES, seed: SEED })) {
        if (done % 20 === 0) {
          const k = bytes(KEYS[(done / 20) % KEYS.length] as string);
          if (done % 60 === 0) await writer.deleteRange({ key: k });
          else await writer.put({ key: k, value: bytes(done % 40 === 0 ? 'a' : 'b') });
          // From here on serializable reads of the proxy are not older than this either.
          await outcomeOf(
            mirrored,
            encode({ compare: [], success: [{ request: { case: 'requestRange', value: { key: k } } }] }),
            TXN,
          );
        }
        done++;
        const request = encode(drawn);
        const ours = comparable(await outcomeOf(mirrored, request, TXN));
        const theirs = comparable(await outcomeOf(direct, request, TXN));
        assert.equal(
          ours,
          theirs,
          JSON.stringify(drawn, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
        );
      }
      const answered = await hits(proxy.url);
      t.diagnostic(`${done} transactions, ${answered} from memory`);
      assert.ok(answered > done / 4, 'enough was answered from memory');
    });
  }

  test('what writes, is nested, or looks elsewhere is forwarded and does what it should', {
    timeout: 60_000,
  }, async () => {
    await using held = new AsyncDisposableStack();
    const etcd = held.use(await startEtcd());
    const proxy = held.use(
      await startProxy({
        endpoints: etcd.endpoints,
        flags: [`--cache-prefix=${PREFIX}`, '--cache-wait=15s'],
      }),
    );
    await untilServing(proxy.url);
    const client = lightClientOf(proxy.address, held);
    const read = (k: string) => ({ request: { case: 'requestRange' as const, value: { key: bytes(k) } } });
    const put = {
      request: { case: 'requestPut' as const, value: { key: bytes(`${PREFIX}k`), value: bytes('v') } },
    };
    const nested = { request: { case: 'requestTxn' as const, value: { success: [read(`${PREFIX}k`)] } } };
    const elsewhere = read('elsewhere');
    for (const success of [
      [put],
      [nested],
      [elsewhere],
      [read(`${PREFIX}k`), put],
      [read(`${PREFIX}k`), elsewhere],
    ]) {
      const reply = await client.txn({ success });
      assert.equal(reply.responses.length, success.length);
    }
    assert.equal(await hits(proxy.url), 0);
    const seen = await client.txn({ success: [read(`${PREFIX}k`)] });
    const [first] = seen.responses;
    assert.ok(first?.response.case === 'responseRange');
    assert.equal(Buffer.from(first.response.value.kvs[0]?.value ?? []).toString(), 'v');
    assert.equal(await hits(proxy.url), 1);
    assert.equal(await fallBacks(proxy.url, 'token'), 0);
  });

  const odd: readonly (readonly [string, object])[] = [
    ['nothing', {}],
    [
      'a past revision',
      { success: [{ request: { case: 'requestRange', value: { key: bytes('k'), revision: 3n } } }] },
    ],
    ['an operation without anything', { success: [{}] }],
    ['a comparison without a key', { compare: [{ target: 0 }] }],
    [
      'a comparison of a lease',
      { compare: [{ key: bytes('k'), target: 4, targetUnion: { case: 'lease', value: 1n } }] },
    ],
    [
      'an operand of another target',
      { compare: [{ key: bytes('k'), target: 0, targetUnion: { case: 'modRevision', value: 1n } }] },
    ],
    ['too many operations', { compare: Array(129).fill({ key: bytes('k') }) }],
  ];
  for (const [what, fields] of odd)
    test(`${what}: left to etcd`, () => assert.equal(readTxnQuery(encode(fields)), undefined));
});
