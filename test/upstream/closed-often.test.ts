/** What is in front of etcd may close a connection after so many calls: that is no failure, and nobody waits for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KV } from '../../src/etcd/methods.ts';
import { until } from '../support/until.ts';
import { ask, connectionOf, inUse } from './client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

const CALLS = 100;
const ROUNDS = 12;
/** The rests after so many attempts that failed, each of them as short as chance makes it. Milliseconds. */
const RESTS_MS = 9000;

test('a connection that has answered is followed by another one at once, however short it lived', async () => {
  await using held = new AsyncDisposableStack();
  const member = held.use(await ScriptedEtcd.start());
  const { cluster } = connectTo([member], { dialTimeout: 30_000 });
  held.defer(() => cluster.close());
  await inUse(cluster);
  const began = performance.now();
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < CALLS; i++) await ask(cluster, KV.Range);
    member.cut(connectionOf(member, KV.Range));
    await until('it is lost', () => cluster.current === undefined || member.connections === 1);
  }
  await ask(cluster, KV.Range);
  const ms = performance.now() - began;
  assert.ok(ms < RESTS_MS, `it took ${ms} ms`);
});
