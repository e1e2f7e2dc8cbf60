/** The rule by which watches go on that are on shared feeds: what each answer of etcd means. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MOST_TOKENS } from '../../src/clients/token-users.ts';
import type { WatchPermission } from '../../src/clients/watch-permission.ts';
import { settle } from '../reads/held-upstream.ts';
import { until } from '../support/until.ts';
import { Script } from './permit-script.ts';

const TOKEN: WatchPermission = { kind: 'token', reason: 'etcdserver: invalid auth token' };
const DENIED: WatchPermission = { kind: 'denied', reason: 'no' };
const ALLOWED: WatchPermission = { kind: 'allowed' };

describe('a watch on a shared feed', () => {
  test('waits for etcd when its feed has lost its stream, together with others of its user', async () => {
    const script = new Script('u');
    const watchers = ['a', 'b', 'c'].map((name) => script.watcher(name));
    script.suspend(...watchers);
    assert.ok(watchers.every(({ held }) => held));
    await settle();
    assert.equal(script.asked.length, 1);
    assert.deepEqual(script.told, []);
    await script.answer(ALLOWED);
    assert.deepEqual(script.told, ['a goes on', 'b goes on', 'c goes on']);
    assert.ok(watchers.every(({ held }) => !held));
    assert.equal(script.asked.length, 0);
  });

  test('is not let go by an answer to what was asked before its feed lost its stream', async () => {
    const script = new Script('u');
    const [a, b] = [script.watcher('a'), script.watcher('b')];
    script.suspend(a);
    await settle();
    script.suspend(b);
    await script.answer(ALLOWED);
    assert.ok(b.held);
    await script.answer(ALLOWED);
    assert.ok(!a.held && !b.held);
    assert.deepEqual(script.told.toSorted(), ['a goes on', 'b goes on']);
  });

  test('ends when etcd denies permission, but not one that etcd has allowed since it was asked', async () => {
    const script = new Script('u');
    script.watcher('a');
    const b = script.watcher('b');
    script.suspend(b);
    await settle();
    const later = script.watcher('later');
    await script.answer(DENIED);
    assert.deepEqual(script.told, ['a denied no', 'b denied no']);
    assert.deepEqual(script.ended, ['denied 2']);
    assert.equal(later.permit, script.permit);
    script.permit.leave(later);
    assert.equal(script.unused, 1);
  });

  test('goes on without a good token while nothing has changed', async () => {
    const script = new Script('u');
    const a = script.watcher('a');
    script.suspend(a);
    assert.equal(await script.answer(TOKEN), 'a');
    assert.deepEqual(script.told, ['a goes on']);
  });

  test('ends without one when something has, or might have: the stream does, so that its client signs in', async () => {
    for (const now of [2n, undefined]) {
      const script = new Script('u');
      const a = script.watcher('a');
      script.now = now;
      script.permit.confirm();
      await settle();
      script.asked.shift()?.answer(TOKEN);
      await settle();
      assert.ok(a.held, 'nothing is delivered meanwhile');
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert.deepEqual(script.told, ['a fails 14']);
      assert.deepEqual(script.ended, ['token 1']);
    }
  });

  test('is judged by its own token, then by another of its user, the newest first; never by one of somebody else', async () => {
    const script = new Script('u');
    script.tokens.push('newest', 'older');
    const a = script.watcher('a');
    script.suspend(a);
    script.now = 2n;
    assert.equal(await script.answer(TOKEN), 'a');
    assert.equal(await script.answer(TOKEN), 'newest');
    assert.equal(await script.answer(ALLOWED), 'older');
    assert.deepEqual(script.told, ['a goes on']);
    const stranger = new Script();
    stranger.tokens.push('newest');
    stranger.suspend(stranger.watcher('x'));
    assert.equal(await stranger.answer(DENIED), 'x');
    assert.deepEqual(stranger.told, ['x denied no']);
  });

  test('is not ended because many newer tokens of its user are no good: they do not hide one that is', async () => {
    const script = new Script('u');
    for (let i = 0; i < 2 * MOST_TOKENS; i++) script.tokens.push(`dead ${i}`);
    const a = script.watcher('a');
    script.now = undefined;
    script.suspend(a);
    assert.equal(await script.answer(ALLOWED), 'a');
    assert.deepEqual(script.told, ['a goes on']);
    assert.equal(script.asked.length, 0);
  });

  test('is asked about by tokens that etcd has not refused before others', async () => {
    const script = new Script('u');
    const a = script.watcher('a');
    for (let i = 0; i < MOST_TOKENS; i++) script.watcher(`dead ${i}`);
    script.suspend(a);
    for (let i = MOST_TOKENS; i-- > 0; ) assert.equal(await script.answer(TOKEN), `dead ${i}`);
    assert.deepEqual(script.told, ['a goes on'], 'nothing has changed');
    script.suspend(a);
    assert.equal(await script.answer(TOKEN), 'a');
    // What etcd has refused is asked with as well where nothing else is left: it may be another member now.
    script.suspend(a);
    assert.equal(await script.answer(ALLOWED), `dead ${MOST_TOKENS - 1}`);
    assert.equal(script.asked.length, 0);
  });

  test('whose end is near is spared when its client has signed in again', async () => {
    const script = new Script('u');
    const a = script.watcher('a');
    script.now = 2n;
    script.delay = () => 60_000;
    script.permit.confirm();
    await script.answer(TOKEN);
    assert.ok(a.held);
    script.watcher('b');
    script.tokens.push('b');
    assert.equal(await script.answer(ALLOWED), 'b');
    assert.deepEqual(script.told, ['a goes on']);
    assert.equal(script.asked.length, 0);
  });

  test('nor does it end where a client of its user has signed in while etcd was asked', async () => {
    const script = new Script('u');
    const a = script.watcher('a');
    script.now = 2n;
    script.delay = () => 60_000;
    script.permit.confirm();
    await settle();
    script.watcher('b');
    assert.equal(await script.answer(TOKEN), 'a');
    assert.ok(a.held, 'nothing is delivered meanwhile');
    assert.equal(await script.answer(ALLOWED), 'b');
    assert.deepEqual(script.told, ['a goes on']);
    assert.equal(script.asked.length, 0);
  });

  test('waits on while etcd cannot be asked', async () => {
    const script = new Script('u');
    const a = script.watcher('a');
    script.suspend(a);
    await script.answer({ kind: 'failed' });
    assert.ok(a.held);
    await until('etcd is asked again', () => script.asked.length > 0);
    await script.answer(ALLOWED);
    assert.deepEqual(script.told, ['a goes on']);
  });
});
