/** Reads that a mirror cannot answer go to etcd, so many at a time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FallBacks } from '../../src/mirror/fall-backs.ts';
import { MirrorStats } from '../../src/mirror/stats.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { outcome, readCall, settle } from '../reads/held-upstream.ts';
import { until } from '../support/until.ts';

describe('fall-backs', () => {
  function start(waitMs: number) {
    const stats = new MirrorStats();
    const under: { request: string; answer: (reply: Uint8Array) => void }[] = [];
    const below = {
      unary: (request: Uint8Array) =>
        new Promise<Uint8Array>((answer) => under.push({ request: Buffer.from(request).toString(), answer })),
    };
    return { stats, under, fallBacks: new FallBacks(below, { max: 2, waitMs }, stats) };
  }
  const names = ['a', 'b', 'c', 'd'];

  test('only so many at once, the others in the order of their coming', async () => {
    const { stats, under, fallBacks } = start(60_000);
    const calls = names.map(() => readCall());
    const outcomes = names.map((name, i) =>
      outcome(fallBacks.unary(Buffer.from(name), calls[i] as (typeof calls)[0])),
    );
    assert.deepEqual(
      under.map(({ request }) => request),
      ['a', 'b'],
    );
    assert.equal(stats.queued, 2);
    calls[2]?.cancel();
    await settle();
    assert.equal(RpcError.from(outcomes[2]?.error).code, Code.CANCELLED);
    under[0]?.answer(Buffer.from('reply'));
    await settle();
    assert.deepEqual(
      under.map(({ request }) => request),
      ['a', 'b', 'd'],
    );
    under[2]?.answer(Buffer.from('last'));
    await settle();
    assert.equal(outcomes[3]?.reply?.toString(), 'last');
  });

  test('who waits for too long is told to come back', async () => {
    const { stats, under, fallBacks } = start(30);
    const outcomes = names.map((name) => outcome(fallBacks.unary(Buffer.from(name), readCall())));
    await until('two are refused', () => stats.refused >= 2);
    await settle();
    const error = RpcError.from(outcomes[3]?.error);
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(error.message, /behind/);
    assert.equal(under.length, 2);
    assert.equal(outcomes[0]?.error, undefined);
  });
});
