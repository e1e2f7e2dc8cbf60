/** Edges of the choice of an endpoint: full connections, slow answers, many endpoints, one, and long outages. */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_LEADER } from '../../src/etcd/words.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { until } from '../support/until.ts';
import { connectTo, method, ScriptedEtcd } from './scripted-etcd.ts';

const RANGE = '/etcdserverpb.KV/Range';
const EMPTY = new Uint8Array(0);
const LEADERLESS = new RpcError(Code.UNAVAILABLE, NO_LEADER);

/** Makes a call as a client would. */
function call(cluster: ClusterClient, path: string, request = EMPTY, deadline = Number.POSITIVE_INFINITY) {
  return cluster.unary(request, new OwnCall(method(path), NO_METADATA, deadline));
}

/** A cluster client of some members, and which of them it uses. */
async function use(held: AsyncDisposableStack, members: readonly ScriptedEtcd[]) {
  for (const member of members) held.use(member);
  const { cluster, heard } = connectTo(members);
  held.defer(() => cluster.close());
  await until('an endpoint is in use', () => cluster.current !== undefined);
  const inUse = (): ScriptedEtcd =>
    members.find(({ address }) => address === cluster.current?.name) as ScriptedEtcd;
  return { cluster, heard, inUse };
}

/** Milliseconds by which a timer may be late without a survey coming to another end. */
const HELD_UP_MS = 25;

/**
 * Another endpoint was found by the first survey. One that asks many, or waits for long, has little time to spare: where
 * this process is held up, it may end before it has its answer, and the next one finds it.
 * @param heldUpMs the longest that a timer was late meanwhile
 */
function foundAtOnce(asked: readonly string[], heldUpMs: number): void {
  const verdicts = heldUpMs > HELD_UP_MS ? asked.filter((verdict) => verdict !== 'stay') : asked;
  assert.deepEqual(verdicts, ['use', 'use']);
}

/** Calls, and says by how much timers were late at most. */
async function heldUp(work: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  await work();
  delay.disable();
  return delay.max / 1e6;
}

describe('an endpoint whose streams are all taken', () => {
  test('is left when they are unanswered and another one serves', { timeout: 40_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const members = [await ScriptedEtcd.start(7, 2), await ScriptedEtcd.start(7, 2)];
    const { cluster, inUse } = await use(held, members);
    const hung = inUse();
    hung.calls = hung.question = 'silence';
    for (let i = 0; i < 30; i++) call(cluster, RANGE, EMPTY, performance.now() + 15_000).catch(() => {}); // some fail
    await until('left', () => inUse() !== hung, 15_000);
    await call(cluster, RANGE);
  });

  test('stays when it answers on another connection', { timeout: 40_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const members = [await ScriptedEtcd.start(7, 2), await ScriptedEtcd.start(7, 2)];
    const { cluster, heard, inUse } = await use(held, members);
    const slow = inUse();
    slow.calls = 'silence';
    for (let i = 0; i < 30; i++) call(cluster, RANGE, EMPTY, performance.now() + 15_000).catch(() => {}); // as meant
    await until('asked twice', () => heard.asked.filter((verdict) => verdict === 'stay').length >= 2, 15_000);
    assert.equal(inUse(), slow);
    assert.equal(heard.switches.length, 0);
  });
});

describe('an endpoint that goes away while it is asked', () => {
  test('is left although it still answers', { timeout: 40_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const members = [await ScriptedEtcd.start(), await ScriptedEtcd.start()];
    const { cluster, heard, inUse } = await use(held, members);
    const leaving = inUse();
    const other = members.find((member) => member !== leaving);
    assert.ok(other);
    leaving.calls = 'silence';
    for (const member of members) member.questionMs = 600;
    const asked = leaving.seen.length;
    call(cluster, RANGE).catch(() => {}); // it makes the proxy ask
    await until('it is asked', () => leaving.seen.slice(asked).some(({ hasLeader }) => hasLeader));
    leaving.goAway();
    await until('left', () => heard.connected.at(-1) === other.address, 15_000);
    await call(cluster, RANGE);
  });
});

describe('another endpoint', () => {
  test('is used also when its answer takes most of the time that it has', { timeout: 40_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const members = [await ScriptedEtcd.start(), await ScriptedEtcd.start()];
    const { cluster, heard, inUse } = await use(held, members);
    const hung = inUse();
    hung.calls = hung.question = 'silence';
    for (const member of members) if (member !== hung) member.questionMs = 800;
    const late = await heldUp(() => call(cluster, RANGE, EMPTY, performance.now() + 15_000));
    assert.notEqual(inUse(), hung);
    foundAtOnce(heard.asked, late);
  });
});

describe('many endpoints', () => {
  test('are all asked before it is over', { timeout: 60_000 }, async () => {
    for (let round = 0; round < 3; round++) {
      await using held = new AsyncDisposableStack();
      const members = await Promise.all(Array.from({ length: 9 }, () => ScriptedEtcd.start()));
      const { cluster, heard, inUse } = await use(held, members);
      const hung = inUse();
      const [one, ...others] = members.filter((member) => member !== hung);
      assert.ok(one);
      for (const member of [hung, ...others]) member.calls = member.question = 'silence';
      const late = await heldUp(() => call(cluster, RANGE, EMPTY, performance.now() + 15_000));
      assert.equal(inUse(), one);
      foundAtOnce(heard.asked, late);
    }
  });
});

describe('after a long time in which nobody served', () => {
  test('one that does is found soon', { timeout: 60_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const members = [await ScriptedEtcd.start(), await ScriptedEtcd.start(), await ScriptedEtcd.start()];
    const { cluster, heard, inUse } = await use(held, members);
    for (const member of members) member.calls = member.question = LEADERLESS;
    // Just now they were asked again, after the longest pause there is.
    const end = performance.now() + 14_000;
    for (let asked = heard.asked.length; performance.now() < end || asked === heard.asked.length; ) {
      asked = heard.asked.length;
      await assert.rejects(call(cluster, RANGE));
      await sleep(20);
    }
    assert.equal(heard.switches.length, 0);
    const unfit = inUse();
    for (const member of members) if (member !== unfit) member.calls = member.question = 'serve';
    const noticed = async (): Promise<boolean> => {
      await call(cluster, RANGE).catch(() => {}); // the failed call is what makes it look
      return inUse() !== unfit;
    };
    // Where the pauses went on growing, that would take more than 8 s.
    await until('it is left', noticed, 6500);
  });
});

describe('one address', () => {
  test('is left for itself also while clients only follow', { timeout: 40_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard, inUse } = await use(held, [await ScriptedEtcd.start()]);
    const member = inUse();
    const watch = new OwnCall(method('/etcdserverpb.Watch/Watch'), NO_METADATA, Number.POSITIVE_INFINITY);
    const ignore = (): void => {};
    const stream = cluster.stream(watch, {
      onHeaders: ignore,
      onMessage: ignore,
      onDrain: ignore,
      onEnd: ignore,
    });
    stream.send(EMPTY);
    await until('the watch is there', () => member.messages.length === 1);
    // The backend of the first connection is stuck; a new connection reaches another one.
    const questions = (): number => member.seen.filter(({ hasLeader }) => hasLeader).length;
    const before = questions();
    member.question = 'silence';
    await until('it was asked', () => questions() > before, 15_000);
    member.question = 'serve';
    await until('left', () => heard.switches.length === 1, 15_000);
    stream.cancel();
  });
});
