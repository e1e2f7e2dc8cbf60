/** Whose tokens speak for the watches of a user on shared feeds, and which watches wait for etcd when they begin. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import type { ReadAs } from '../../src/clients/probes.ts';
import { MOST_TOKENS, TokenUsers } from '../../src/clients/token-users.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import type { Method } from '../../src/rpc/method.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { SharedFeeds } from '../../src/watch/shared-feeds.ts';
import { Circles, type CirclesOwner } from '../../src/watch/sharing/circles.ts';
import { Permits } from '../../src/watch/sharing/permits.ts';
import type { Sponsor } from '../../src/watch/sharing/sponsor.ts';
import { Watcher, type WatchSink } from '../../src/watch/watcher.ts';
import { settle } from '../reads/held-upstream.ts';
import { PLAIN } from '../watch/scripted-hub.ts';
import { RANGE } from './permit-script.ts';

test('a token that etcd does not take is nobody’s from then on', async () => {
  const users = new TokenUsers();
  users.learn('u', 'x');
  const permits = permitsOf(users, async () => {
    throw new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token');
  });
  await permits.ask(new Metadata(['token', 'x']), RANGE);
  assert.equal(users.userOf('x'), undefined);
  const denying = permitsOf(users, async () => {
    throw new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');
  });
  users.learn('u', 'x');
  await denying.ask(new Metadata(['token', 'x']), RANGE);
  assert.equal(users.userOf('x'), 'u');
});

test('what denies reads on the way to etcd says nothing of whom etcd allows what', async () => {
  for (const said of ['unexpected HTTP status code received from server: 403', 'RBAC: access denied']) {
    const users = new TokenUsers();
    users.learn('u', 'x');
    const permits = permitsOf(users, async () => {
      throw new RpcError(Code.PERMISSION_DENIED, said);
    });
    assert.deepEqual(await permits.ask(new Metadata(['token', 'x']), RANGE), { kind: 'failed' });
    assert.equal(users.userOf('x'), 'u');
    assert.deepEqual(permits.stats.confirmations, { allowed: 0, denied: 0, token: 0, failed: 1 });
  }
});

test('who showed the tokens of a user of before is judged by its own, whatever etcd says of those handed out since', async () => {
  const users = new TokenUsers();
  const asked: string[] = [];
  const good = new Set(['old', 'older', 'new']);
  const permits = permitsOf(users, async (metadata) => {
    const token = metadata.get('token') as string;
    asked.push(token);
    if (!good.has(token)) throw new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token');
    return new Uint8Array(0);
  });
  const ended: string[] = [];
  const watcher = (token: string): Watcher => {
    const sink = { fail: () => void ended.push(token), onFault: (error: unknown) => assert.ifError(error) };
    const made = new Watcher(sink as unknown as WatchSink, RANGE, PLAIN, 0n, 1, 1);
    permits.enter(made, clientIdentityOf(new Metadata(['token', token])), performance.now());
    return made;
  };
  const suspend = (made: Watcher): void => {
    made.held = true;
    made.permit?.suspend(made);
  };
  for (const token of ['older', 'old']) users.learn('u', token);
  const [older, old] = [watcher('older'), watcher('old')];
  assert.equal(permits.size, 1);
  suspend(old);
  // The new password is there, and somebody has signed in with it, before the proxy hears so.
  users.learn('u', 'new');
  const early = watcher('new');
  for (const token of ['older', 'old']) good.delete(token);
  permits.onUserChanged('u');
  await settle();
  assert.ok(old.held, 'who waited for etcd waits for the answer to its own token');
  users.learn('u', 'newer');
  const fresh = watcher('newer');
  good.add('newer');
  for (const made of [older, old, early, fresh]) suspend(made);
  await settle();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(ended.toSorted(), ['old', 'older']);
  assert.deepEqual(
    [older, old, early, fresh].map(({ held }) => held),
    [true, true, false, false],
  );
  for (const made of [older, old, early, fresh]) made.permit?.leave(made);
  assert.equal(permits.size, 0);
  permits.close();
});

test('feeds of a user go on with the token that a client has shown last, though many newer ones are no good', async () => {
  const users = new TokenUsers();
  const shared = {
    users,
    unary: async (_: Method, metadata: Metadata) => {
      if (metadata.get('token') === 'live') return new Uint8Array(0);
      throw new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token');
    },
  };
  const made = new Map<string, { sponsor: Sponsor }>();
  const owner = {
    feedsBy: (id: string, sponsor: () => Sponsor) => {
      if (!made.has(id)) made.set(id, { sponsor: sponsor() });
      return made.get(id);
    },
  };
  const circles = new Circles(shared as unknown as SharedFeeds, undefined, owner as unknown as CirclesOwner);
  const shows = (token: string) =>
    circles.feedsOfUser('u', clientIdentityOf(new Metadata(['token', token]))) as unknown as {
      sponsor: Sponsor;
    };
  users.learn('u', 'live');
  for (let i = 0; i < 2 * MOST_TOKENS; i++) users.learn('u', `dead ${i}`);
  const { sponsor } = shows('dead');
  await assert.rejects(sponsor.read(new Uint8Array(0)), /invalid auth token/);
  assert.equal(shows('live').sponsor, sponsor);
  await sponsor.read(new Uint8Array(0));
  assert.equal(sponsor.metadata.get('token'), 'live');
});

/** Permits that are asked about when a feed has lost its stream only. */
function permitsOf(users: TokenUsers, read: ReadAs): Permits {
  const onFault = (error: unknown): void => assert.ifError(error);
  return new Permits({ read, users, revision: { current: async () => 1n }, intervalMs: 0, onFault });
}

test('a stream that is to end for want of a token waits for that a minute at most, however seldom etcd is asked', (t) => {
  t.mock.method(Math, 'random', () => 0.5);
  const delayOf = (intervalMs: number): number =>
    new Permits({
      read: async () => new Uint8Array(0),
      users: new TokenUsers(),
      revision: { current: async () => 1n },
      intervalMs,
      onFault: (error) => assert.ifError(error),
    }).delay();
  assert.deepEqual([0, 10_000, 60_000, 3_600_000].map(delayOf), [0, 5000, 30_000, 30_000]);
});

describe('a watch that begins on a shared feed', () => {
  for (const [what, age, held] of [
    ['at once when etcd has just allowed it', 0, false],
    ['when etcd has been asked again, where its answer had to wait for the client', 5000, true],
  ] as const)
    test(what, async (t) => {
      t.mock.method(performance, 'now', () => 50_000);
      const answers: (() => void)[] = [];
      const permits = permitsOf(
        new TokenUsers(),
        () => new Promise((resolve) => answers.push(() => resolve(new Uint8Array(0)))),
      );
      const identity = clientIdentityOf(new Metadata(['token', 'x']));
      const watcher = new Watcher({} as WatchSink, RANGE, PLAIN, 0n, 1, 1);
      permits.enter(watcher, identity, performance.now() - age);
      await settle();
      assert.deepEqual([watcher.held, answers.length], [held, held ? 1 : 0]);
      for (const answer of answers) answer();
      await settle();
      assert.equal(watcher.held, false);
      assert.equal(permits.size, 1);
      watcher.permit?.leave(watcher);
      assert.equal(permits.size, 0);
      permits.close();
    });
});

describe('watches that go on', () => {
  for (const [what, revision, questions] of [
    ['are asked about once more, and not again while nothing changes', 7n, 1],
    ['nor while auth is off, and stays so', -7n, 1],
    ['but each time where it cannot be known whether something has changed', undefined, 5],
  ] as const)
    test(what, async (t) => {
      t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
      let asked = 0;
      const permits = new Permits({
        read: async () => {
          asked++;
          return new Uint8Array(0);
        },
        users: new TokenUsers(),
        revision: { current: async () => revision },
        intervalMs: 1000,
        onFault: (error) => assert.ifError(error),
      });
      const watcher = new Watcher({} as WatchSink, RANGE, PLAIN, 0n, 1, 1);
      permits.enter(watcher, clientIdentityOf(new Metadata(['token', 'x'])), performance.now());
      for (let second = 0; second < 5; second++) {
        t.mock.timers.tick(1000);
        await settle();
      }
      assert.equal(asked, questions);
      watcher.permit?.leave(watcher);
    });
});
