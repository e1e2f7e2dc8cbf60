/** A Lock that waits for the connection of replies while its endpoint is left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KV, Lock, Watch } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { until } from '../support/until.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

const EMPTY = new Uint8Array(0);
const ignore = (): void => {};
const call = (method: ConstructorParameters<typeof OwnCall>[0]) =>
  new OwnCall(method, NO_METADATA, Number.POSITIVE_INFINITY);

test('a Lock that has not been sent goes to the endpoint that serves', async () => {
  await using held = new AsyncDisposableStack();
  const members = [held.use(await ScriptedEtcd.start()), held.use(await ScriptedEtcd.start())];
  const { cluster } = connectTo(members);
  held.defer(() => cluster.close());
  const used = await until('in use', () => cluster.current);
  const from = members.find(({ address }) => used.name.includes(address)) as ScriptedEtcd;
  const to = members.find((member) => member !== from) as ScriptedEtcd;
  const stream = cluster.stream(call(Watch.Watch), {
    onHeaders: ignore,
    onMessage: ignore,
    onDrain: ignore,
    onEnd: ignore,
  });
  stream.send(EMPTY);
  await until('the watch', () => from.messages.length > 0);
  await cluster.unary(EMPTY, call(KV.Range));
  const replying = from.seen.findLast(({ hasLeader }) => !hasLeader)?.connection ?? '';
  await sleep(1300);
  // From now on it serves nobody, and the connection of replies is lost.
  from.question = 'silence';
  from.calls = 'silence';
  from.cut(replying);
  await sleep(30);
  const lock = cluster.unary(EMPTY, call(Lock.Lock));
  lock.catch(ignore);
  await until('the other one is used', () => cluster.current !== used);
  await sleep(100);
  const at = (member: ScriptedEtcd) => member.count(Lock.Lock.path);
  console.log('locks at the one that was left', at(from), 'at the other', at(to));
  assert.deepEqual([at(from), at(to)], [0, 1]);
});
