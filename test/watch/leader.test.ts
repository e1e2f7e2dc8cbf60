/** A client that asks for a leader is told when the cluster has lost its own, as soon as etcd tells; others wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EtcdInstall, newestEtcd, startEtcd } from '../support/etcd.ts';
import { etcdMetric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, type Create, put, WatchCall } from '../support/watch-client.ts';

const ELECTION_MS = 500;
/** Long enough for a create between the loss of a leader and the end of what demands one. */
const SLOW_ELECTION_MS = 1500;

const DEMANDED = { metadata: { hasleader: 'true' } };
const NO_LEADER = [14, 'etcdserver: no leader'];

for (const install of await outerEtcds())
  test(`etcd ${install.version}: hasleader streams end with 14 when quorum is lost, others on the same feed go on`, () =>
    withoutQuorum(install));

test('what runs is not refused before etcd ends it, what is new is', async () => {
  const install = await newestEtcd();
  await using etcd = await startEtcd({ install, members: 3, electionMs: SLOW_ELECTION_MS });
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const running = [await led(direct), await led(client)];
  await Promise.all([etcd.member(1).kill(), etcd.member(2).kill()]);
  await until('no leader', async () => {
    const { code } = await direct.call('/etcdserverpb.Cluster/MemberList', [new Uint8Array(0)], DEMANDED);
    return code !== 0;
  });
  // All at once, since etcd ends what runs a few seconds later.
  const silent = [direct, client].map((way) => new WatchCall(way, DEMANDED));
  await Promise.all(running.map((watch) => watch.created({ key: b('another') })));
  for (const watch of silent) {
    const { code, message } = await watch.end;
    assert.deepEqual([code, message], NO_LEADER, 'a new stream, with nothing asked for on it');
  }
  for (const watch of running) {
    assert.equal(await watch.next(), undefined);
    const { code, message } = await watch.end;
    assert.deepEqual([code, message], NO_LEADER);
  }
});

/** Opens a stream that wants a leader, with a watch, as soon as there is one: members without a core for a moment elect anew. */
function led(client: RawGrpcClient, create: Create = {}): Promise<WatchCall> {
  return until('a watch that wants a leader', async () => {
    const watch = new WatchCall(client, DEMANDED);
    watch.create({ key: b('leader'), ...create });
    return (await watch.next())?.created === true && watch;
  });
}

/** Opens a stream that wants a leader, with a watch where asked; says when and how it ended. */
async function wanting(client: RawGrpcClient, watches: boolean): Promise<() => Promise<number>> {
  const watch = watches ? await led(client) : new WatchCall(client, DEMANDED);
  const ended = watch.end.then(({ code, message }) => {
    assert.deepEqual([code, message], NO_LEADER);
    return Date.now();
  });
  return () => ended;
}

async function withoutQuorum(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install, members: 3, heartbeatMs: 50, electionMs: ELECTION_MS });
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const watches = () => etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
  const patient = new WatchCall(client);
  await patient.created({ key: b('leader') });
  const ends = [];
  for (const way of [direct, client])
    for (const watches of [true, false]) ends.push(await wanting(way, watches));
  await until('a watch of the direct client, one of the proxy', async () => (await watches()) === 2);
  await Promise.all([etcd.member(1).kill(), etcd.member(2).kill()]);
  const [straight, , ...proxied] = await Promise.all(ends.map((end) => end()));
  // Each stream has its own clock in etcd, which ticks once an election time-out.
  for (const at of proxied) assert.ok(at - (straight as number) < 3 * ELECTION_MS, `${at} after ${straight}`);
  const late = new WatchCall(client, DEMANDED);
  late.create({ key: b('leader') });
  assert.equal(await late.next(), undefined, 'nothing is answered');
  const end = await late.end;
  assert.deepEqual([end.code, end.message], NO_LEADER);
  const bold = new WatchCall(client);
  await bold.created({ key: b('leader') });
  await etcd.member(1).start();
  const revision = await put(client, 'leader', 'again');
  for (const watch of [patient, bold]) assert.deepEqual(await watch.revisions(1), [revision]);
  const again = await led(client, { startRevision: BigInt(revision) });
  assert.deepEqual(await again.revisions(1), [revision]);
  const next = await put(client, 'leader', 'and again');
  for (const watch of [patient, bold, again]) assert.deepEqual(await watch.revisions(1), [next]);
  await until('one watch for all of them', async () => (await watches()) === 1);
  for (const watch of [patient, bold, again]) watch.close();
}
