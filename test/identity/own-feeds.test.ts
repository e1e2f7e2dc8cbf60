/** When clients ride on feeds of the proxy's own user: a scripted etcd that lets a watch run on whose user may not begin another one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Login } from '../../src/clients/login.ts';
import { Metadata } from '../../src/rpc/metadata.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { b, type Create } from '../support/watch-client.ts';
import type { ScriptedClient } from '../watch/scripted-client.ts';
import { MIB, ScriptedHub } from '../watch/scripted-hub.ts';
import type { ScriptedWatch } from '../watch/scripted-upstream.ts';

const DENIED = new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');
const NOBODY = new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty');

/** A hub with a user of its own, whose token is `own`, and an etcd that lets these tokens read; all, while auth is off. */
class Place implements Disposable {
  isAuthOn = true;
  readonly allowed = new Set(['own', 'a', 'b', 'c']);
  /** The tokens of all reads so far. */
  readonly reads: string[] = [];
  /** Of the program. */
  readonly faults: unknown[] = [];
  readonly hub: ScriptedHub;
  /** The token that each stream carries. */
  readonly #tokens: string[] = [];

  constructor() {
    const login = new Login(async () => new Metadata(['token', 'own']));
    const revision = { current: async () => undefined };
    const onFault = (error: unknown): void => void this.faults.push(error);
    this.hub = new ScriptedHub({ sharing: { login, revision, reauthorize: 0 }, onFault });
    const { upstream } = this.hub;
    upstream.revision = 10;
    const unary = upstream.unary.bind(upstream);
    upstream.unary = (request, call) => {
      const token = call.metadata.get('token') ?? '';
      this.reads.push(token);
      if (this.isAuthOn && token === '') throw NOBODY;
      if (this.isAuthOn && !this.allowed.has(token)) throw DENIED;
      return unary(request, call);
    };
    const stream = upstream.stream.bind(upstream);
    upstream.stream = (call, listener) => {
      this.#tokens.push(call.metadata.get('token') ?? '');
      return stream(call, listener);
    };
  }

  /** A client whose watch of `k` the proxy has said to exist. */
  async watching(token: string, options: Create = {}): Promise<ScriptedClient> {
    const client = this.hub.client(token === '' ? [] : ['token', token]);
    client.watch({ key: b('k'), ...options });
    const asked = (): boolean =>
      this.hub.upstream.watches.some((watch) => !watch.answered && !watch.cancelled && watch.key === 'k');
    await until('the reply to a create', () => client.responses.length > 0 || asked());
    return client;
  }

  /** Whose the next watch on etcd is, which etcd creates. */
  async created(): Promise<string | undefined> {
    return this.tokenOf(await this.hub.created('k'));
  }

  tokenOf({ stream }: ScriptedWatch): string | undefined {
    return this.#tokens[this.hub.upstream.streams.indexOf(stream)];
  }

  /** How often etcd was asked as the proxy's user since the last time. */
  asked(): number {
    return this.reads.splice(0).filter((token) => token === 'own').length;
  }

  [Symbol.dispose](): void {
    this.hub[Symbol.dispose]();
  }
}

test('a feed that etcd lets run on serves whom it can, and is no leave for another watch', async () => {
  using at = new Place();
  await at.watching('a');
  assert.equal(await at.created(), 'own');
  at.allowed.delete('own');
  at.asked();
  // From now on: nothing has to be asked of etcd as the proxy's user.
  const now = await at.watching('b');
  assert.deepEqual([at.asked(), at.hub.upstream.watches.length], [0, 1]);
  for (const [token, options] of [
    ['b', { startRevision: 5n }],
    ['c', { prevKv: true }],
  ] as const) {
    const client = await at.watching(token, options);
    assert.equal(await at.created(), token);
    assert.equal(client.ending, undefined);
  }
  assert.equal(now.ending, undefined);
});

test('nor is a feed of those without a token, from before auth was switched on', async () => {
  using at = new Place();
  at.isAuthOn = false;
  await at.watching('');
  assert.equal(await at.created(), '');
  at.isAuthOn = true;
  await at.watching('a', { startRevision: 5n });
  assert.equal(await at.created(), 'own', 'the proxy’s user has signed in');
});

for (const [what, member] of [
  ['another', 2n],
  ['the same', 1n],
] as const)
  test(`a stream that was given up since nobody read comes back on ${what} member`, async () => {
    using at = new Place();
    const { hub } = at;
    const client = await at.watching('a');
    const first = await hub.created('k');
    client.stop();
    for (let i = 0; i < 20 && !first.cancelled; i++) hub.tell(first, 'k', MIB);
    assert.ok(first.cancelled);
    at.allowed.delete('a');
    at.reads.length = 0;
    hub.upstream.member = member;
    client.go();
    const second = await hub.created('k');
    assert.equal(at.tokenOf(second), 'own');
    const revision = hub.tell(second, 'k');
    // A client's own stream would have broken on the way there, or, on the same member, where its process was another one meanwhile.
    await until('the end of the watch', () => client.responses.at(-1)?.canceled === true);
    assert.ok(!client.revisions.includes(revision));
    assert.equal(client.ending, undefined);
  });

test('a fault in what comes of the answer about the own user ends the stream of that client', async () => {
  using at = new Place();
  const fault = new Error('of the program');
  at.hub.hub.circles.serving = () => {
    throw fault;
  };
  const client = at.hub.client(['token', 'a']);
  client.watch({ key: b('k') });
  await until('the end of the stream', () => client.ending !== undefined);
  assert.equal(client.ending?.code, Code.UNAVAILABLE);
  assert.deepEqual(at.faults, [fault]);
});
