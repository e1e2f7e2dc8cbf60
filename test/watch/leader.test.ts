/** A client that asks for a leader is told when the cluster has lost its own; others wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';

test('hasleader: streams end with 14 when quorum is lost, others go on afterwards', async () => {
  await using etcd = await startEtcd({ members: 3, heartbeatMs: 50, electionMs: 500 });
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const wanting = new WatchCall(client, { metadata: { hasleader: 'true' } });
  const patient = new WatchCall(client);
  for (const watch of [wanting, patient]) await watch.created({ key: b('leader') });
  await Promise.all([etcd.member(1).kill(), etcd.member(2).kill()]);
  const { code, message } = await wanting.end;
  assert.deepEqual([code, message], [14, 'etcdserver: no leader']);
  const late = new WatchCall(client, { metadata: { hasleader: 'true' } });
  late.create({ key: b('leader') });
  const end = await late.end;
  assert.deepEqual([end.code, end.message], [14, 'etcdserver: no leader']);
  await etcd.member(1).start();
  const revision = await put(client, 'leader', 'again');
  assert.deepEqual(await patient.revisions(1), [revision]);
  patient.close();
});
