/** Who is given what others have read: the cache before a scripted etcd, which knows tokens and says whom it allows what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadCache } from '../../src/cache/read-cache.ts';
import { Login } from '../../src/clients/login.ts';
import { Permissions } from '../../src/clients/permission.ts';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { KV } from '../../src/etcd/methods.ts';
import type { Call } from '../../src/rpc/contract.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b } from '../support/watch-client.ts';
import { KIB, MIB, ScriptedHub } from '../watch/scripted-hub.ts';
import { serializable } from './place.ts';

const REQUEST = serializable({ key: b('k') });
const DENIED = new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');
const NOBODY = new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty');

/** A cache, and an etcd that lets these tokens read. @param own whether the proxy has a user of its own, whose token is `own` */
function place(allowed: Set<string>, own = false) {
  const login = new Login(own ? async () => new Metadata(['token', 'own']) : undefined);
  const revision = { current: async () => undefined };
  const hub = new ScriptedHub({ sharing: { login, revision, reauthorize: 0 } });
  const { upstream } = hub;
  const unary = upstream.unary.bind(upstream);
  upstream.unary = async (request, call: Call) => {
    const token = call.metadata.get('token') ?? '';
    if (call.method.path === KV.Range.path && token === '' && !allowed.has('')) throw NOBODY;
    if (call.method.path === KV.Range.path && !allowed.has(token)) throw DENIED;
    return unary(request, call);
  };
  const cache = new ReadCache(upstream, {
    hub: hub.hub,
    permissions: new Permissions(),
    seen: new SeenRevision(),
    maxBytes: MIB,
    maxFeeds: 100,
  });
  /** An answer that is there at once is one from memory. */
  const read = async (token: string, request = REQUEST): Promise<'hit' | 'miss' | 'denied'> => {
    const { hits } = cache.stats;
    const metadata = token === '' ? NO_METADATA : new Metadata(['token', token]);
    try {
      await cache.unary(request, new OwnCall(KV.Range, metadata, Infinity));
    } catch (error) {
      assert.equal(error, token === '' ? NOBODY : DENIED);
      return 'denied';
    }
    return cache.stats.hits > hits ? 'hit' : 'miss';
  };
  const watches = () => upstream.watches.filter(({ key, cancelled }) => key === 'k' && !cancelled);
  return { hub, cache, read, watches };
}

test('what a user has read is given to its other tokens, when etcd has allowed each of them the range', async () => {
  const allowed = new Set(['a1', 'a2', 'b1']);
  using at = Object.assign(place(allowed), { [Symbol.dispose]: () => at.hub[Symbol.dispose]() });
  const { hub, cache, read, watches } = at;
  for (const [user, token] of [
    ['a', 'a1'],
    ['a', 'a2'],
    ['a', 'a3'],
    ['b', 'b1'],
  ] as const)
    hub.hub.shared.users.learn(user, token);
  await read('a1');
  await read('a1');
  await hub.created('k');
  await until('an answer from memory', async () => (await read('a1')) === 'hit');
  assert.equal(cache.entries, 1);

  assert.equal(await read('a2'), 'miss', 'etcd has not allowed this token yet');
  assert.equal(await read('a2'), 'hit');
  assert.equal(await read('a3'), 'denied');
  assert.equal(await read('a3'), 'denied', 'what another token may is not for this one');
  assert.equal(await read('x'), 'denied');
  assert.deepEqual([cache.entries, watches().length], [1, 1]);

  // Another user has another watch, and an entry of its own.
  await read('b1');
  await read('b1');
  await hub.created('k');
  await until('an answer from memory', async () => (await read('b1')) === 'hit');
  assert.deepEqual([cache.entries, watches().length], [2, 2]);

  // What is taken away counts no more a second later.
  allowed.delete('a2');
  await until('the permission has ended', async () => (await read('a2')) === 'denied');
  assert.equal(await read('a2'), 'denied');
  await until('others are answered from memory', async () => (await read('a1')) === 'hit');
});

test('users and keys are not taken for one another', async () => {
  const allowed = new Set(['1', '2']);
  using at = Object.assign(place(allowed), { [Symbol.dispose]: () => at.hub[Symbol.dispose]() });
  const { hub, cache, read } = at;
  hub.hub.shared.users.learn('u', '1');
  hub.hub.shared.users.learn('uk', '2');
  await read('1');
  await read('1');
  await hub.created('k');
  await until('an answer from memory', async () => (await read('1')) === 'hit');
  assert.equal(await read('2'), 'miss');
  assert.equal(cache.entries, 1);
  assert.ok(cache.bytes < 64 * KIB);
});

test('with a user of the proxy’s own that may watch the range, all share it, whoever their tokens are', async () => {
  const allowed = new Set(['own', '1', '2']);
  using at = Object.assign(place(allowed, true), { [Symbol.dispose]: () => at.hub[Symbol.dispose]() });
  const { hub, cache, read, watches } = at;
  await until('the cache has the range watched', async () => {
    await read('1');
    return watches().length > 0;
  });
  await hub.created('k');
  await until('an answer from memory', async () => (await read('1')) === 'hit');
  assert.equal(await read('2'), 'miss');
  assert.equal(await read('2'), 'hit');
  assert.equal(await read('3'), 'denied');
  assert.deepEqual([cache.entries, watches().length], [1, 1]);
});

test('a range that the proxy’s own user may not watch is shared as without one', async () => {
  const allowed = new Set(['1', '2']);
  using at = Object.assign(place(allowed, true), { [Symbol.dispose]: () => at.hub[Symbol.dispose]() });
  const { hub, cache, read } = at;
  const reading = async () => {
    await read('1');
    return hub.upstream.watches.at(-1);
  };
  const refused = await until('a watch of the proxy’s own user', reading);
  refused.say(hub.upstream.revision, { created: true, canceled: true, watchId: -1n, cancelReason: 'no' });
  const own = await until('a watch of the client’s', async () => {
    const watch = await reading();
    return watch !== refused && watch;
  });
  own.say(hub.upstream.revision, { created: true });
  await until('an answer from memory', async () => (await read('1')) === 'hit');
  assert.equal(await read('2'), 'miss');
  assert.equal(cache.entries, 1);
});

for (const [who, token] of [
  ['a user whose tokens share answers', 'a1'],
  ['a token that shares with nobody', 'x'],
  ['those without a token', ''],
] as const)
  test(`a read that is forwarded and refused ends what etcd has allowed ${who} before`, async () => {
    const allowed = new Set([token]);
    using at = Object.assign(place(allowed), { [Symbol.dispose]: () => at.hub[Symbol.dispose]() });
    const { hub, read } = at;
    hub.hub.shared.users.learn('a', 'a1');
    const remembered = async (): Promise<void> => {
      await until('an answer from memory', async () => {
        const { watches, revision } = hub.upstream;
        watches.find(({ answered, cancelled }) => !answered && !cancelled)?.say(revision, { created: true });
        return (await read(token)) === 'hit';
      });
    };
    await remembered();
    allowed.delete(token);
    // Once, and a second time, when the answer would be remembered; each time after a yes that would still count.
    const other = serializable({ key: b('k'), limit: 7n });
    for (let i = 0; i < 2; i++) {
      assert.equal(await read(token, other), 'denied');
      assert.equal(await read(token), 'denied');
      allowed.add(token);
      await remembered();
      allowed.delete(token);
    }
  });
