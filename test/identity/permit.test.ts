/** The rule by which watches go on that are on shared feeds: what each answer of etcd means, and for whom. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import type { Leave } from '../../src/clients/leave.ts';
import type { ReadAs } from '../../src/clients/probes.ts';
import { MOST_TOKENS, TokenUsers } from '../../src/clients/token-users.ts';
import { KeyRange } from '../../src/etcd/key-range.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import type { Method } from '../../src/rpc/method.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { SharedFeeds } from '../../src/watch/shared-feeds.ts';
import { Circles, type CirclesOwner } from '../../src/watch/sharing/circles.ts';
import { type AuthState, Permit, type PermitOwner } from '../../src/watch/sharing/permit.ts';
import { Permits } from '../../src/watch/sharing/permits.ts';
import type { Sponsor } from '../../src/watch/sharing/sponsor.ts';
import { Watcher, type WatcherFeed, type WatchSink } from '../../src/watch/watcher.ts';
import { settle } from '../reads/held-upstream.ts';

const RANGE = new KeyRange('w/', 'w0');
const OPTIONS = { prevKv: false, progressNotify: false, fragment: false, noPut: false, noDelete: false };
const TOKEN: Leave = { kind: 'token', reason: 'etcdserver: invalid auth token' };
const DENIED: Leave = { kind: 'denied', reason: 'no' };
const ALLOWED: Leave = { kind: 'allowed' };

/** A permit of a user with tokens, whose questions the test answers; delays are over when it says so. */
class Script implements PermitOwner {
  revision: AuthState = 1n;
  /** The one when somebody looks. */
  now: AuthState = 1n;
  readonly tokens: string[] = [];
  /** The questions under way, by the token that they show. */
  readonly asked: { readonly token: string; answer(leave: Leave): void }[] = [];
  readonly ended: string[] = [];
  readonly told: string[] = [];
  unused = 0;
  readonly permit: Permit;

  constructor(user?: string) {
    this.permit = new Permit(this, 'key', RANGE, user);
    this.permit.revision = 1n;
  }

  look(): Promise<AuthState> {
    return Promise.resolve(this.now);
  }

  ask(metadata: Metadata): Promise<Leave> {
    return new Promise((answer) => this.asked.push({ token: metadata.get('token') ?? '', answer }));
  }

  *tokensOf(): Iterable<Metadata> {
    for (const token of this.tokens) yield new Metadata(['token', token]);
  }

  delay(): number {
    return 0;
  }

  onEnded(why: string, watches: number): void {
    this.ended.push(`${why} ${watches}`);
  }

  onUnused(): void {
    this.unused++;
  }

  onFault(error: unknown): void {
    throw error;
  }

  /** A watcher whose client shows a token; what becomes of it is told by its name. */
  watcher(name: string, token = name): Watcher {
    const say = (what: string): void => void this.told.push(`${name} ${what}`);
    const hold = (held: Watcher): void => {
      held.held = true;
    };
    const feed = { pump: () => say('goes on'), hold };
    const sink = {
      fail: (code: number) => {
        say(`fails ${code}`);
        this.permit.leave(watcher);
      },
      onDenied: (_: Watcher, reason: string) => {
        say(`denied ${reason}`);
        this.permit.leave(watcher);
      },
    };
    const watcher = new Watcher(sink as unknown as WatchSink, RANGE, OPTIONS, 0n, 1, 1);
    Object.defineProperty(watcher, 'feed', { value: feed });
    watcher.release = () => {
      watcher.held = false;
      feed.pump();
    };
    this.permit.enter(watcher, clientIdentityOf(new Metadata(['token', token])));
    return watcher;
  }

  suspend(...watchers: Watcher[]): void {
    for (const watcher of watchers) {
      (watcher.feed as WatcherFeed).hold(watcher);
      this.permit.suspend(watcher);
    }
  }

  async answer(leave: Leave): Promise<string | undefined> {
    await settle();
    const question = this.asked.shift();
    question?.answer(leave);
    await settle();
    return question?.token;
  }
}

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

  test('waits on while etcd cannot be asked', async () => {
    const script = new Script('u');
    const a = script.watcher('a');
    script.suspend(a);
    await script.answer({ kind: 'failed' });
    assert.ok(a.held);
    while (script.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await script.answer(ALLOWED);
    assert.deepEqual(script.told, ['a goes on']);
  });
});

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
    const made = new Watcher(sink as unknown as WatchSink, RANGE, OPTIONS, 0n, 1, 1);
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

describe('a watch that begins on a shared feed', () => {
  for (const [what, age, held] of [
    ['at once when etcd has just allowed it', 0, false],
    ['when etcd has been asked again, where its answer had to wait for the client', 5000, true],
  ] as const)
    test(what, async () => {
      const answers: (() => void)[] = [];
      const permits = permitsOf(
        new TokenUsers(),
        () => new Promise((resolve) => answers.push(() => resolve(new Uint8Array(0)))),
      );
      const identity = clientIdentityOf(new Metadata(['token', 'x']));
      const watcher = new Watcher({} as WatchSink, RANGE, OPTIONS, 0n, 1, 1);
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
