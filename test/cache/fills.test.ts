/** Answers that reach the proxy late: what they say was true once, and must not be remembered as if it still were. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KV } from '../../src/etcd/methods.ts';
import type { Call, UnaryUpstream } from '../../src/rpc/contract.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { bytes } from '../reads/clients.ts';
import { until } from '../support/until.ts';
import { serializable, setUp } from './place.ts';

/** Keeps the answers to some reads back. */
class Delay implements UnaryUpstream {
  holding = false;
  readonly #below: UnaryUpstream;
  #held: (() => void)[] = [];

  constructor(below: UnaryUpstream) {
    this.#below = below;
  }

  async unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    const hold = this.holding;
    const reply = await this.#below.unary(request, call);
    if (hold) await new Promise<void>((resolve) => this.#held.push(resolve));
    return reply;
  }

  get held(): number {
    return this.#held.length;
  }

  release(): void {
    for (const resolve of this.#held) resolve();
    this.#held = [];
  }
}

test('an answer from before the cover began to listen is not remembered', async () => {
  await using held = new AsyncDisposableStack();
  let delay: Delay | undefined;
  const place = await setUp(held, {
    between: (below) => {
      delay = new Delay(below);
      return delay;
    },
  });
  const { through, direct, cache, hub } = place;
  assert.ok(delay);
  const key = bytes('late');
  // two requests for the same range, so that they have a cover in common and each an entry of its own
  const ask = async (limit: bigint) => {
    const { kvs } = await through.range({ key, limit, serializable: true });
    return Buffer.from(kvs[0]?.value ?? []).toString();
  };
  await direct.put({ key, value: bytes('old') });
  await ask(1n);
  await ask(2n);
  delay.holding = true;
  const late = ask(1n);
  await until('the answer', () => delay?.held === 1);
  delay.holding = false;
  await direct.put({ key, value: bytes('new') });
  assert.equal(await ask(2n), 'new');
  assert.equal(cache.covers, 1);
  await until('the feed', () => [...hub.feeds()].every(({ state }) => state === 'live'));
  delay.release();
  assert.equal(await late, 'old');
  for (let i = 0; i < 10; i++) assert.equal(await ask(1n), 'new');
});

test('a read that wants a leader is never answered from memory', async () => {
  await using held = new AsyncDisposableStack();
  const { cache, direct, warm } = await setUp(held);
  const key = bytes('led');
  await direct.put({ key });
  await warm({ key });
  const { hits } = cache.stats;
  const metadata = new Metadata(['hasleader', 'true']);
  for (let i = 0; i < 10; i++)
    await cache.unary(serializable({ key }), new OwnCall(KV.Range, metadata, Number.POSITIVE_INFINITY));
  assert.equal(cache.stats.hits, hits);
});
