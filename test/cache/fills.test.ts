/** Answers that reach the proxy late: what they say was true once, and must not be remembered as if it still were. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { KV } from '../../src/etcd/methods.ts';
import type { Call, UnaryUpstream } from '../../src/rpc/contract.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { bytes } from '../reads/clients.ts';
import { outerEtcds } from '../support/releases.ts';
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

/** A cache whose reads of etcd can be kept back. */
async function setUpDelayed(held: AsyncDisposableStack) {
  let delay: Delay | undefined;
  const place = await setUp(held, {
    between: (below) => {
      delay = new Delay(below);
      return delay;
    },
  });
  assert.ok(delay);
  return { ...place, delay };
}

test('an answer from before the cover began to listen is not remembered', async () => {
  await using held = new AsyncDisposableStack();
  const { delay, through, direct, cache, hub } = await setUpDelayed(held);
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
  await until('the answer', () => delay.held === 1);
  delay.holding = false;
  await direct.put({ key, value: bytes('new') });
  assert.equal(await ask(2n), 'new');
  assert.equal(cache.covers, 1);
  await until('the feed', () => [...hub.feeds()].every(({ state }) => state === 'live'));
  delay.release();
  assert.equal(await late, 'old');
  for (let i = 0; i < 10; i++) assert.equal(await ask(1n), 'new');
});

test('an answer to an empty range_end that is written out is not remembered: to some releases it is no end', async () => {
  await using held = new AsyncDisposableStack();
  const [install] = await outerEtcds();
  assert.ok(install);
  const { cache, direct } = await setUp(held, { install });
  await direct.put({ key: bytes('a') });
  await direct.put({ key: bytes('b'), value: bytes('old') });
  const request = Buffer.concat([serializable({ key: bytes('a') }), Buffer.of(0x12, 0)]);
  const ask = async (): Promise<string[]> => {
    const call = new OwnCall(KV.Range, new Metadata([]), Number.POSITIVE_INFINITY);
    const { kvs } = fromBinary(RangeResponseSchema, await cache.unary(request, call));
    return kvs.map(({ value }) => Buffer.from(value).toString());
  };
  const before = await ask();
  assert.ok(before.length > 0);
  for (let i = 0; i < 10; i++) assert.deepEqual(await ask(), before);
  await direct.put({ key: bytes('b'), value: bytes('new') });
  assert.deepEqual(await ask(), before.length > 1 ? ['', 'new'] : ['']);
  assert.equal(cache.covers, 0);
});

test('an answer from before etcd refused the client is not remembered', async () => {
  await using held = new AsyncDisposableStack();
  const { delay, cache, direct, etcd, hub } = await setUpDelayed(held);
  const key = bytes('late');
  await direct.put({ key, value: bytes('secret') });
  const auth = createClient(Auth, createGrpcTransport({ baseUrl: etcd.first.url }));
  for (const name of ['root', 'guest']) {
    await auth.roleAdd({ name });
    await auth.userAdd({ name, password: name });
    await auth.userGrantRole({ user: name, role: name });
  }
  await auth.roleGrantPermission({ name: 'guest', perm: { permType: 0, key } });
  await auth.authEnable({});
  const tokenOf = async (name: string) => (await auth.authenticate({ name, password: name })).token;
  const guest = new Metadata(['token', await tokenOf('guest')]);
  const headers = { token: await tokenOf('root') };
  // A watch of the client's own goes on when the permission is lost, so there is a feed for whatever is remembered.
  const feeds = hub.feedsOf(clientIdentityOf(guest));
  feeds.subscribe(new KeyRange('late', ''), false, 1, { onBatch: () => {}, onEnd: () => {} });
  await until('the feed', () => [...hub.feeds()].every(({ state }) => state === 'live'));

  const ask = async (limit: bigint): Promise<string> => {
    const call = new OwnCall(KV.Range, guest, Number.POSITIVE_INFINITY);
    try {
      const reply = await cache.unary(serializable({ key, limit }), call);
      return Buffer.from(fromBinary(RangeResponseSchema, reply).kvs[0]?.value ?? []).toString();
    } catch (error) {
      assert.equal(RpcError.from(error).code, Code.PERMISSION_DENIED);
      return 'refused';
    }
  };
  await ask(2n);
  const { hits } = cache.stats;
  await until('a hit', async () => (await ask(1n)) === 'secret' && cache.stats.hits > hits);
  delay.holding = true;
  const late = ask(2n);
  await until('the answer', () => delay.held === 1);
  delay.holding = false;
  await auth.roleRevokePermission({ role: 'guest', key }, { headers });
  // It is asked again before its time is over; on a machine that stands still for so long, the read itself is refused.
  await until('etcd to be asked again', async () => (await ask(1n)) === 'refused');
  delay.release();
  assert.equal(await late, 'secret', 'etcd had said yes');
  for (let i = 0; i < 10; i++) assert.equal(await ask(2n), 'refused');
});

test('a traced read is answered from memory like any other', async () => {
  await using held = new AsyncDisposableStack();
  const { cache, direct, warm } = await setUp(held);
  const key = bytes('traced');
  await direct.put({ key });
  await warm({ key });
  const { hits, fills } = cache.stats;
  for (let i = 0; i < 10; i++) {
    const metadata = new Metadata(['traceparent', `00-${i}`, 'client-api-version', `3.${i}`]);
    await cache.unary(serializable({ key }), new OwnCall(KV.Range, metadata, Number.POSITIVE_INFINITY));
  }
  assert.equal(cache.stats.hits - hits, 10);
  assert.equal(cache.stats.fills, fills);
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
