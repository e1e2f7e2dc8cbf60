/** One address stands for several members, which the two connections are spread over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { Maintenance } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { watchService } from '../../src/watch/client-stream.ts';
import { WatchHub } from '../../src/watch/hub.ts';
import { Balancer } from '../failing/balancer.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import { ScriptedClient } from '../watch/scripted-client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

test('Status is asked of the member that the watches are on', async () => {
  await using held = new AsyncDisposableStack();
  const members = [held.use(await ScriptedEtcd.start()), held.use(await ScriptedEtcd.start())];
  const balancer = held.use(
    await Balancer.open(
      members.map(({ address }) => address),
      0,
    ),
  );
  const { cluster } = connectTo([balancer]);
  held.defer(() => cluster.close());
  await until('in use', () => cluster.current);
  const hub = new WatchHub({
    upstream: cluster,
    historyBytes: 1 << 20,
    historyRevisions: 1000,
    maxRevisionBytes: 1 << 20,
    fragmentBytes: 1 << 20,
    linger: 0,
  });
  held.defer(() => hub.close());
  const client = new ScriptedClient(watchService(hub, cluster, new SeenRevision()), NO_METADATA);
  client.watch({ key: b('k') });
  await until('a watch', () => members.some(({ messages }) => messages.length > 0));
  const watched = members.findIndex(({ messages }) => messages.length > 0);
  const asked = await until('Status is asked', () => {
    const index = members.findIndex((member) => member.count(Maintenance.Status.path) > 0);
    return index >= 0 && index;
  });
  assert.equal(asked, watched);
});
