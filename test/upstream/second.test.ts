/** An attempt at a second connection that comes to nothing: whom it serves, what it counts as, and for how long it rests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KV, Lock } from '../../src/etcd/methods.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { ask, connectionOf, inUse, ofTwo, PATIENT, Stream } from './client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

const NO_LEADER = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');
/** A connection that lived for so long counts as one that was of use. */
const SETTLED_MS = 1300;

test('one that a fail-over breaks off: its watch goes to the other endpoint only, on a connection of its own', async () => {
  await using held = new AsyncDisposableStack();
  const { cluster, heard, from, to } = await ofTwo(held);
  await until('the choice is made, and leaves it', () => to.connections === 0);
  from.question = 'silence';
  from.calls = NO_LEADER;
  new Stream(cluster);
  await ask(cluster, KV.Range);
  await until('the watch is there', () => to.messages.length > 0);
  await sleep(50); // nothing may happen
  const shares = connectionOf(to, KV.Range) === to.messages[0]?.connection;
  assert.deepEqual(
    { left: from.messages.length, failed: heard.dialFailures, shares },
    { left: 0, failed: [], shares: false },
  );
});

test('one that is refused is no connection that failed', async () => {
  await using held = new AsyncDisposableStack();
  const member = held.use(await ScriptedEtcd.start());
  const { cluster, heard } = connectTo([member], PATIENT);
  held.defer(() => cluster.close());
  await inUse(cluster);
  member.question = NO_LEADER;
  new Stream(cluster);
  await until('the watch is there', () => member.messages.length > 0);
  await sleep(20); // nothing may happen
  assert.deepEqual(heard.dialFailures, []);
});

test('its rest ends with its endpoint', async () => {
  await using held = new AsyncDisposableStack();
  const { cluster, from, to } = await ofTwo(held);
  await until('the choice is made, and leaves it', () => to.connections === 0);
  from.question = NO_LEADER;
  from.calls = NO_LEADER;
  new Stream(cluster);
  await until('the watch is at the first', () => from.messages.length > 0);
  await ask(cluster, KV.Range);
  await until('the watch is there', () => to.messages.length > 0);
  await sleep(50); // nothing may happen
  assert.notEqual(connectionOf(to, KV.Range), to.messages[0]?.connection);
});

test('a Lock that waits for it is not sent to the endpoint that is left', async () => {
  await using held = new AsyncDisposableStack();
  const { cluster, heard, from, to } = await ofTwo(held);
  const used = cluster.current;
  new Stream(cluster);
  await until('the watch', () => from.messages.length > 0);
  await ask(cluster, KV.Range);
  const replying = connectionOf(from, KV.Range);
  await sleep(SETTLED_MS);
  // From now on it serves nobody, and the connection of replies is lost.
  from.question = 'silence';
  from.calls = 'silence';
  const { length } = heard.lost;
  from.cut(replying);
  await until('it is lost', () => heard.lost.length > length);
  // Nobody answers it before the end, which ends it.
  ask(cluster, Lock.Lock).catch((error: unknown) => assert.match(String(error), /shutting down|lost before/));
  await until('the other one is used', () => cluster.current !== used);
  await until('the Lock is there', () => to.count(Lock.Lock.path) > 0);
  await sleep(100); // nothing may happen
  assert.deepEqual([from.count(Lock.Lock.path), to.count(Lock.Lock.path)], [0, 1]);
});

test('a close opens none', async () => {
  await using held = new AsyncDisposableStack();
  const member = held.use(await ScriptedEtcd.start());
  const { cluster } = connectTo([member]);
  await inUse(cluster);
  // The second one is refused, so that a watch travels with replies; then its rest is over.
  member.question = NO_LEADER;
  new Stream(cluster);
  await until('the watch is there', () => member.messages.length > 0);
  member.question = 'serve';
  await sleep(2500);
  cluster.close();
  await until('those there were are closed', () => member.connections === 0);
  await sleep(300); // nothing may happen
  assert.equal(member.connections, 0);
});
