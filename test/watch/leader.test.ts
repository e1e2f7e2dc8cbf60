/** A client that asks for a leader is told when the cluster has lost its own, as soon as etcd tells; others wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { availableEtcds, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';

const ELECTION_MS = 500;

for (const install of await availableEtcds())
  test(`etcd ${install.version}: hasleader streams end with 14 when quorum is lost, others go on`, () =>
    withoutQuorum(install));

/** Opens a stream that wants a leader, with a watch where asked; says when and how it ended. */
async function wanting(client: RawGrpcClient, watches: boolean): Promise<() => Promise<number>> {
  const watch = new WatchCall(client, { metadata: { hasleader: 'true' } });
  if (watches) await watch.created({ key: b('leader') });
  const ended = watch.end.then(({ code, message }) => {
    assert.deepEqual([code, message], [14, 'etcdserver: no leader']);
    return Date.now();
  });
  return () => ended;
}

async function withoutQuorum(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install, members: 3, heartbeatMs: 50, electionMs: ELECTION_MS });
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const patient = new WatchCall(client);
  await patient.created({ key: b('leader') });
  const ends = [];
  for (const way of [direct, client])
    for (const watches of [true, false]) ends.push(await wanting(way, watches));
  await Promise.all([etcd.member(1).kill(), etcd.member(2).kill()]);
  const [straight, , ...proxied] = await Promise.all(ends.map((end) => end()));
  // Each stream has its own clock in etcd, which ticks once an election time-out.
  for (const at of proxied) assert.ok(at - (straight as number) < 3 * ELECTION_MS, `${at} after ${straight}`);
  const late = new WatchCall(client, { metadata: { hasleader: 'true' } });
  late.create({ key: b('leader') });
  const end = await late.end;
  assert.deepEqual([end.code, end.message], [14, 'etcdserver: no leader']);
  await etcd.member(1).start();
  const revision = await put(client, 'leader', 'again');
  assert.deepEqual(await patient.revisions(1), [revision]);
  patient.close();
}
