/** With auth on, clients that sign in by themselves share the stream of their user, and hear what each would hear from etcd. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Place, startPlace } from '../identity/place.ts';
import { atLeast, newestEtcd } from '../support/etcd.ts';
import { etcdMetric, metric, streamsInProgress } from '../support/metrics.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { signIn, tokens } from '../watch/tokens.ts';
import { BeatCall, grant, putWith } from './beats.ts';

const METHOD = 'LeaseKeepAlive';
const DENIED = [7, 'etcdserver: permission denied'];

const install = await newestEtcd();
/** Heartbeats need a token, and permission to write what the lease holds. */
const looks = { skip: !atLeast(install, 3, 6) };

const streamsOf = ({ etcd }: Place): Promise<number> => streamsInProgress(etcd.first.metricsUrl, METHOD);

/** Streams that etcd has had. */
const startedAt = ({ etcd }: Place): Promise<number> =>
  etcdMetric(
    etcd.first.metricsUrl,
    `grpc_server_started_total{grpc_method="${METHOD}",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}`,
  );

/** A lease that holds a key which users of the place may write, or another one. */
async function leaseAt(at: Place, key: string): Promise<bigint> {
  const root = await signIn(at.direct, 'root');
  const id = await grant(at.direct, 60, 0n, root);
  await putWith(at.direct, key, id, root);
  return id;
}

/** Clients that each sign in by themselves, and have beaten once. */
async function beating(at: Place, user: string, id: bigint, count: number): Promise<BeatCall[]> {
  const calls: BeatCall[] = [];
  for (let i = 0; i < count; i++) {
    const call = new BeatCall(at.client, await at.as(user));
    assert.equal(await call.beat(id), 60);
    calls.push(call);
  }
  return calls;
}

describe('tokens that etcd remembers', () => {
  let at: Place;
  let good: bigint;
  let bad: bigint;

  before(async () => {
    at = await startPlace({ install, users: ['ann', 'bob', 'eve', 'gone'], own: true });
    good = await leaseAt(at, 'w/a');
    bad = await leaseAt(at, 'z/a');
  });
  after(() => at[Symbol.asyncDispose]());

  test('of one user are one stream to etcd, of two users two; the proxy’s own user has none', async () => {
    const calls = [...(await beating(at, 'ann', good, 5)), ...(await beating(at, 'bob', good, 5))];
    for (const call of calls) assert.equal(await call.beat(good), 60);
    assert.equal(await streamsOf(at), 2);
    assert.equal(await startedAt(at), 2);
    assert.equal(await metric(at.proxy.url, 'etcd_proxy_lease_streams'), 2);
    for (const call of calls) call.close();
  });

  test('a token that nobody was seen to get shares with none', async () => {
    const [known] = (await beating(at, 'bob', good, 1)) as [BeatCall];
    const before = await startedAt(at);
    const unknown = new BeatCall(at.client, await signIn(at.direct, 'bob'));
    assert.equal(await unknown.beat(good), 60);
    assert.equal(await startedAt(at), before + 1);
    for (const call of [known, unknown]) call.close();
  });

  test('what one of them is refused all of them are, and nobody else notices', looks, async () => {
    const calls = await beating(at, 'eve', good, 3);
    const refusals = () => metric(at.proxy.url, 'etcd_proxy_lease_heartbeats_refused_total');
    const before = await refusals();
    for (let i = 0; i < 3; i++) {
      using client = new RawGrpcClient(at.proxy.address);
      const refused = new BeatCall(client, await at.as('eve'));
      refused.send(bad);
      assert.deepEqual(await refused.outcome(), DENIED);
      for (const call of calls) assert.equal(await call.beat(good), 60);
    }
    assert.equal(await refusals(), before + 1, 'the first one ended the stream, and no other');
    for (const call of calls) call.close();
  });

  test(
    'a user who is gone keeps nothing alive; another one of that name does, with tokens of its own',
    looks,
    async () => {
      const calls = await beating(at, 'gone', good, 3);
      await at.root('user', 'delete', 'gone');
      await at.root('user', 'add', 'gone:pw');
      await at.root('user', 'grant-role', 'gone', 'gone');
      const [anew] = (await beating(at, 'gone', good, 1)) as [BeatCall];
      const direct = new BeatCall(at.direct, await signIn(at.direct, 'gone'));
      assert.equal(await direct.beat(good), 60);
      for (const call of calls) {
        call.send(good);
        const [code] = await call.outcome();
        assert.equal(code, 16);
      }
      assert.equal(await (anew as BeatCall).beat(good), 60);
      for (const call of [anew, direct]) call.close();
    },
  );

  test(
    'where the role of a user is taken away, every one of its clients hears it, and only they',
    looks,
    async () => {
      const [ann, bob] = [await beating(at, 'ann', good, 3), await beating(at, 'bob', good, 3)];
      await at.root('user', 'revoke-role', 'ann', 'ann');
      for (const call of ann) {
        call.send(good);
        assert.deepEqual(await call.outcome(), DENIED);
      }
      for (const call of bob) assert.equal(await call.beat(good), 60);
      for (const call of bob) call.close();
    },
  );
});

test('where the token ends that carries the stream, the others go on with another one', looks, async () => {
  const seconds = 4; // longer than a busy machine takes from a sign-in to the heartbeats behind it
  await using at = await startPlace({
    install,
    users: ['ann'],
    own: false,
    etcd: await tokens('jwt', seconds),
  });
  const id = await leaseAt(at, 'w/a');
  const [first] = (await beating(at, 'ann', id, 1)) as [BeatCall];
  const direct = new BeatCall(at.direct, await at.as('ann'));
  const later: BeatCall[] = [];
  const stale = async (call: BeatCall): Promise<boolean> => {
    call.send(id);
    return (await call.next()) === undefined;
  };
  await until('etcd takes a token of then no more', async () => {
    // Whoever signs in meanwhile, so that one of them is fresh when the first one is not any more.
    for (const call of later.splice(0)) call.close();
    later.push(...(await beating(at, 'ann', id, 2)));
    return stale(direct);
  });
  assert.ok(await stale(first), 'its client hears of it');
  assert.deepEqual(await first.outcome(), await direct.outcome());
  const fresh = await beating(at, 'ann', id, 2);
  for (const call of fresh) assert.equal(await call.beat(id), 60);
  assert.equal(await metric(at.proxy.url, 'etcd_proxy_lease_streams'), 1);
  for (const call of [...later, ...fresh]) call.close();
});
