/**
 * Random RangeRequests, with every field, through a proxy that mirrors the prefix and directly to etcd, on every release
 * at hand: the replies must be the same bytes, but for which member answered. Between them the store changes: puts,
 * deletions, leases, transactions with many keys, compactions. MIRROR_CASES makes it longer, MIRROR_SEED repeats it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { RangeRequest } from '#gen/etcdserverpb/kv_pb.js';
import { connect, type KvClient, lightClientOf } from '../reads/clients.ts';
import { randomFrom } from '../reads/fire.ts';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { LONG, outerEtcds } from '../support/releases.ts';
import { comparable, hits, outcomeOf, PREFIX, PREFIX_END, rangeRequest, untilServing } from './support.ts';

const CASES = Number(process.env.MIRROR_CASES ?? (LONG ? 1500 : 500));
const SEED = Number(process.env.MIRROR_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Requests between two changes of the store. */
const BURST = 25;

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');
/** Few enough that ranges are often small, and some of other bytes than letters. */
const KEYS = [
  ...Array.from({ length: 24 }, (_, i) => `${PREFIX}${i}`),
  `${PREFIX}\x00`,
  `${PREFIX}\xff\xff`,
  PREFIX,
];
const VALUES = ['', 'a', 'b', '\xff', 'x'.repeat(130)];

const often = <T>(usual: T, other: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
/** A revision, counted back from the present one. */
const past = fc.integer({ min: -2, max: 120 });

const requests = fc.record({
  key: fc.constantFrom(...KEYS, `${PREFIX}zz`),
  rangeEnd: fc.constantFrom('', PREFIX_END, PREFIX_END, ...KEYS),
  limit: often(0, fc.constantFrom(1, 2, 5, 100, 2 ** 53)),
  back: often(undefined, past),
  sortOrder: often(0, fc.integer({ min: 0, max: 2 })),
  sortTarget: often(0, fc.integer({ min: 0, max: 4 })),
  serializable: fc.boolean(),
  keysOnly: often(false, fc.constant(true)),
  countOnly: often(false, fc.constant(true)),
  minMod: often(undefined, past),
  maxMod: often(undefined, past),
  minCreate: often(undefined, past),
  maxCreate: often(undefined, past),
});
type Drawn = typeof requests extends fc.Arbitrary<infer T> ? T : never;

/** The request at a present revision. */
function requestOf(drawn: Drawn, now: number): Uint8Array {
  const at = (back: number | undefined): bigint => BigInt(back === undefined ? 0 : Math.max(1, now - back));
  const fields: Partial<RangeRequest> = {
    key: latin1(drawn.key),
    rangeEnd: latin1(drawn.rangeEnd),
    limit: BigInt(drawn.limit),
    revision: at(drawn.back),
    sortOrder: drawn.sortOrder,
    sortTarget: drawn.sortTarget,
    serializable: drawn.serializable,
    keysOnly: drawn.keysOnly,
    countOnly: drawn.countOnly,
    minModRevision: at(drawn.minMod),
    maxModRevision: at(drawn.maxMod),
    minCreateRevision: at(drawn.minCreate),
    maxCreateRevision: at(drawn.maxCreate),
  };
  return rangeRequest(fields);
}

/** Changes the store in one revision. */
async function change(client: KvClient, random: () => number, lease: bigint): Promise<number> {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const put = (key: string) => {
    const value = { key: latin1(key), value: latin1(pick(VALUES)), lease: random() < 0.1 ? lease : 0n };
    return { request: { case: 'requestPut' as const, value } };
  };
  const remove = (key: string, rangeEnd = '') => {
    const value = { key: latin1(key), rangeEnd: latin1(rangeEnd) };
    return { request: { case: 'requestDeleteRange' as const, value } };
  };
  const kind = random();
  const several = [...new Set([pick(KEYS), pick(KEYS), pick(KEYS), pick(KEYS)])];
  const success =
    kind < 0.5
      ? [put(pick(KEYS))]
      : kind < 0.7
        ? several.map(put)
        : kind < 0.9
          ? several.map((key) => remove(key))
          : kind < 0.93
            ? [remove(PREFIX, PREFIX_END)]
            : [put('elsewhere')];
  const { header } = await client.txn({ success });
  return Number(header?.revision);
}

describe('a mirrored prefix answers as etcd does', async () => {
  for (const install of await outerEtcds()) {
    test(`etcd ${install.version}`, { timeout: 120_000 + CASES * 50 }, async (t) => {
      t.diagnostic(`MIRROR_SEED=${SEED}`);
      await using held = new AsyncDisposableStack();
      const etcd = held.use(await startEtcd({ install }));
      const direct = connect(etcd.first.address);
      held.defer(() => direct.close());
      const writer = lightClientOf(etcd.first.address, held);
      const random = randomFrom(SEED);
      const lease = await grant(etcd);
      for (let i = 0; i < 60; i++) await change(writer, random, lease);

      const proxy = held.use(
        await startProxy({
          endpoints: etcd.endpoints,
          flags: [`--cache-prefix=${PREFIX}`, '--cache-wait=15s'],
        }),
      );
      const mirrored = connect(proxy.address);
      held.defer(() => mirrored.close());
      await untilServing(proxy.url);
      let now = 0;
      let done = 0;
      const errors = new Set<string>();
      for (const drawn of fc.sample(requests, { numRuns: CASES, seed: SEED })) {
        if (done++ % BURST === 0) {
          for (let i = 0; i < 3; i++) now = await change(writer, random, lease);
          // From here on serializable reads of the proxy are not older than this either.
          await outcomeOf(mirrored, rangeRequest({ key: latin1(PREFIX) }));
          if (random() < 0.05) await writer.compact({ revision: BigInt(now - 40) });
        }
        const request = requestOf(drawn, now);
        // The mirror first: what etcd says then was so before as well, since nothing else writes.
        const ours = comparable(await outcomeOf(mirrored, request));
        const theirs = comparable(await outcomeOf(direct, request));
        if (/^\d+ etcdserver/.test(theirs)) errors.add(theirs);
        assert.equal(
          ours,
          theirs,
          JSON.stringify({ drawn, now }, (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
        );
      }
      const answered = await hits(proxy.url);
      t.diagnostic(`${done} requests, ${answered} from memory; errors: ${[...errors].join(' | ')}`);
      assert.ok(answered > done / 3, 'enough was answered from memory');
    });
  }
});

async function grant(etcd: Awaited<ReturnType<typeof startEtcd>>): Promise<bigint> {
  const { stdout } = await etcd.etcdctl(['lease', 'grant', '3600']);
  return BigInt(`0x${/lease ([0-9a-f]+)/.exec(stdout)?.[1]}`);
}
