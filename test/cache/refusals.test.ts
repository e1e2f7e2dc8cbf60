/** What a refusal takes from whom: the work and the answers of those that it concerns, and of nobody else. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { KV } from '../../src/etcd/methods.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { bytes } from '../reads/clients.ts';
import { until } from '../support/until.ts';
import { visitsOf } from '../support/visits.ts';
import { type Place, serializable, setUp } from './place.ts';

const KEYS = 300;

describe('a refusal', () => {
  const held = new AsyncDisposableStack();
  let place: Place;
  /** What reads get in place of etcd's answer. */
  let refusal: RpcError | undefined;
  before(async () => {
    place = await setUp(held, {
      maxBytes: 1 << 24,
      between: (below) => ({
        unary: (request, call) =>
          refusal === undefined ? below.unary(request, call) : Promise.reject(refusal),
      }),
    });
  });
  after(() => held.disposeAsync());

  const token = new Metadata(['token', 'of one']);

  const ask = async (key: string, metadata: Metadata, limit = 1n): Promise<void> => {
    const call = new OwnCall(KV.Range, metadata, Number.POSITIVE_INFINITY);
    await place.cache.unary(serializable({ key: bytes(key), limit }), call);
  };

  /** Has answers remembered, of so many keys, on a feed that is there. */
  async function remember(metadata: Metadata): Promise<void> {
    const feeds = place.hub.feedsOf(clientIdentityOf(metadata));
    feeds.subscribe(new KeyRange('free/', 'free0'), false, 1, { onBatch: () => {}, onEnd: () => {} });
    await until('the feed', () => [...feeds.feeds].every(({ state }) => state === 'live'));
    const { entries } = place.cache;
    // One after the other: what is read twice is noticed in a table where two keys may share a place.
    for (let i = 0; i < KEYS; i++) for (let times = 0; times < 2; times++) await ask(`free/${i}`, metadata);
    assert.equal(place.cache.entries, entries + KEYS);
  }

  /** Asks something about a key that is not remembered, and is refused. @returns what that takes */
  const beRefused = (key: string, metadata: Metadata, error: RpcError): Promise<number> =>
    visitsOf(async () => {
      refusal = error;
      await assert.rejects(ask(key, metadata, 2n), error);
      refusal = undefined;
    });

  test('looks at what it concerns, however much else is remembered', async () => {
    const { cache } = place;
    await remember(token);
    await remember(NO_METADATA);
    assert.equal(cache.covers, 2 * KEYS);

    const denied = new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');
    const visits = await beRefused('free/7', token, denied);
    assert.equal(cache.covers, 2 * KEYS - 1, 'with a token: that range of that client');
    assert.ok(visits < KEYS / 2, `${visits} visits`);

    const nobody = new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty');
    await beRefused('free/8', NO_METADATA, nobody);
    assert.equal(cache.covers, KEYS - 1, 'without one: all ranges of all that have none');
    assert.equal(cache.entries, KEYS - 1);
  });
});
