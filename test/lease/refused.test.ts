/**
 * Heartbeats that etcd refuses, on releases that look whether the client may write the lease's keys: the client hears what
 * etcd says, and whoever shares a stream with it notices nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atLeast, type EtcdCluster, newestEtcd, startEtcd } from '../support/etcd.ts';
import { metric, streamsInProgress } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { type CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';
import { newestEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { signIn } from '../watch/tokens.ts';
import { BeatCall, grant, putWith } from './beats.ts';

const DENIED = [7, 'etcdserver: permission denied'];
const METHOD = 'LeaseKeepAlive';

/** An etcd with users: root, and `ann`, who may write below a/. */
async function withUsers(etcd: EtcdCluster): Promise<void> {
  const must = async (...args: string[]) => {
    const { code, stderr } = await etcd.etcdctl(args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  };
  for (const name of ['root', 'ann']) await must('user', 'add', `${name}:pw`);
  await must('user', 'grant-role', 'root', 'root');
  await must('role', 'add', 'ann');
  await must('role', 'grant-permission', 'ann', 'readwrite', 'a/', 'a0');
  await must('user', 'grant-role', 'ann', 'ann');
  await must('auth', 'enable');
}

interface Scene {
  readonly etcd: EtcdCluster;
  readonly proxy: RunningProxy;
  readonly direct: RawGrpcClient;
  readonly ann: CallOptions;
  readonly root: CallOptions;
  /** Leases whose keys ann may write, and others. */
  readonly allowed: readonly bigint[];
  readonly forbidden: readonly bigint[];
}

async function scene(act: (scene: Scene) => Promise<void>, install = newestEtcd()): Promise<void> {
  await using etcd = await startEtcd({ install: await install, bcryptCost: 4 });
  await withUsers(etcd);
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using direct = new RawGrpcClient(etcd.first.address);
  const [ann, root] = [await signIn(direct, 'ann'), await signIn(direct, 'root')];
  const leases = async (prefix: string): Promise<bigint[]> => {
    const ids: bigint[] = [];
    for (let i = 0; i < 5; i++) {
      const id = await grant(direct, 60, 0n, root);
      await putWith(direct, `${prefix}/${i}`, id, root);
      ids.push(id);
    }
    return ids;
  };
  await act({ etcd, proxy, direct, ann, root, allowed: await leases('a'), forbidden: await leases('z') });
}

for (const install of await newestEtcds())
  test(`etcd ${install.version}: each client hears what it would hear from etcd`, () =>
    scene(async ({ proxy, direct, ann, root, allowed, forbidden }) => {
      using client = new RawGrpcClient(proxy.address);
      const [good] = allowed as [bigint];
      const [bad] = forbidden as [bigint];
      const told = async (way: RawGrpcClient, options: CallOptions, ids: readonly bigint[]) => {
        const call = new BeatCall(way, options);
        call.send(...ids);
        call.call.halfClose();
        const answers: string[] = [];
        for (let answer = await call.next(); answer !== undefined; answer = await call.next())
          answers.push(`${answer.ID} ${answer.TTL}`);
        return [...answers, ...(await call.outcome())];
      };
      const cases: readonly [CallOptions, readonly bigint[]][] = [
        [ann, [good, good]],
        [ann, [good, bad, good]],
        [ann, [bad]],
        [ann, [404n, bad, 404n]],
        [root, [good, bad]],
        [{}, [good]],
        [{}, [404n]],
        [{ metadata: { token: 'nobody.1' } }, [good, bad]],
        [ann, [good, good]],
      ];
      for (const [options, ids] of cases)
        assert.deepEqual(
          await told(client, options, ids),
          await told(direct, options, ids),
          `${JSON.stringify(options)} ${ids.join(' ')}`,
        );
    }, Promise.resolve(install)));

/** Whether heartbeats are looked at. */
const looks = atLeast(await newestEtcd(), 3, 6);

test('one refusal is heard by one client, the others go on', { skip: !looks }, () =>
  scene(async ({ proxy, ann, allowed, forbidden }) => {
    using client = new RawGrpcClient(proxy.address);
    using stranger = new RawGrpcClient(proxy.address);
    const others = allowed.map(() => new BeatCall(client, ann));
    for (const [i, call] of others.entries()) assert.equal(await call.beat(allowed[i] as bigint), 60);
    const refused = new BeatCall(stranger, ann);
    // All in one turn, so that some are behind the one that is refused.
    refused.send(forbidden[0] as bigint);
    for (let round = 0; round < 5; round++)
      for (const [i, call] of others.entries()) call.send(allowed[i] as bigint);
    assert.deepEqual(await refused.outcome(), DENIED);
    for (const call of others)
      for (let round = 0; round < 5; round++) assert.equal((await call.must()).TTL, 60n);
    assert.equal(await metric(proxy.url, 'etcd_proxy_lease_heartbeats_refused_total'), 1);
    for (const call of others) call.close();
  }),
);

test(
  'who was refused has a stream of its own: a loop of refusals ends no stream of others',
  { skip: !looks },
  () =>
    scene(async ({ etcd, proxy, ann, allowed, forbidden }) => {
      using client = new RawGrpcClient(proxy.address);
      const [good] = allowed as [bigint];
      const call = new BeatCall(client, ann);
      assert.equal(await call.beat(good), 60);
      const refusals = () => metric(proxy.url, 'etcd_proxy_lease_heartbeats_refused_total');
      const loop = async (bad: bigint, times: number, open: () => RawGrpcClient) => {
        for (let i = 0; i < times; i++) {
          using each = open();
          const refused = new BeatCall(each, ann);
          refused.send(bad);
          assert.deepEqual(await refused.outcome(), DENIED);
          assert.equal(await call.beat(good), 60);
        }
      };
      // One lease, on a new connection each time.
      await loop(forbidden[0] as bigint, 10, () => new RawGrpcClient(proxy.address));
      assert.equal(await refusals(), 1, 'the first one ended the stream, and no other');
      // Many leases, on one connection.
      using stubborn = new RawGrpcClient(proxy.address);
      const asStubborn = () => Object.assign(Object.create(stubborn), { [Symbol.dispose]: () => {} });
      for (const bad of forbidden.slice(1)) await loop(bad, 3, asStubborn);
      assert.equal(await refusals(), 2);
      assert.equal(await metric(proxy.url, 'etcd_proxy_lease_streams'), 1);
      await until('all others are over', async () => {
        return (await streamsInProgress(etcd.first.metricsUrl, METHOD)) === 1;
      });
      call.close();
    }),
);

test('streams with one token share, users do not', { skip: !looks }, () =>
  scene(async ({ etcd, proxy, ann, root, allowed }) => {
    using client = new RawGrpcClient(proxy.address);
    const calls = [ann, ann, root, root, ann].map((options) => new BeatCall(client, options));
    for (const call of calls) assert.equal(await call.beat(allowed[0] as bigint), 60);
    assert.equal(await streamsInProgress(etcd.first.metricsUrl, METHOD), 2);
    for (const call of calls) call.close();
  }),
);
