/**
 * Watches of different users on one proxy: a token that expires ends exactly its own watches, with a reason (the
 * incumbent's defect W3), and nobody sees through another's eyes.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdInstall, newestEtcd, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { type CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { CutRelay } from './cut-relay.ts';
import { signIn, TOKEN_KINDS, type TokenKind, tokens } from './tokens.ts';

/** Seconds. On a busy machine a client that has just signed in needs some of them for what it does. */
const TOKEN_LIFE = 7;
/** Milliseconds after which etcd, which looks once a second, has forgotten a token that was not used. */
const FORGOTTEN_MS = (TOKEN_LIFE + 3) * 1000;

/** An etcd with auth, and two ways to it. */
interface Place extends AsyncDisposable {
  readonly relay: CutRelay;
  readonly direct: RawGrpcClient;
  readonly client: RawGrpcClient;
}

async function place(install: EtcdInstall, kind: TokenKind): Promise<Place> {
  const held = new AsyncDisposableStack();
  const etcd = held.use(await startEtcd({ install, ...(await tokens(kind, TOKEN_LIFE)) }));
  for (const args of [
    ['user', 'add', 'root:pw'],
    ['user', 'grant-role', 'root', 'root'],
    ['role', 'add', 'part'],
    ['role', 'grant-permission', 'part', 'readwrite', 'w3/', 'w30'],
    ['user', 'add', 'part:pw'],
    ['user', 'grant-role', 'part', 'part'],
    ['auth', 'enable'],
  ]) {
    const { code, stderr } = await etcd.etcdctl(args);
    assert.equal(code, 0, stderr);
  }
  const relay = held.use(await CutRelay.start(etcd.first.address));
  const proxy = held.use(await startProxy({ endpoints: [relay.address] }));
  const direct = held.use(new RawGrpcClient(etcd.first.address));
  const client = held.use(new RawGrpcClient(proxy.address));
  return { relay, direct, client, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

const installs = await outerEtcds();

describe('a token that expires ends its own watches, when etcd must be asked again', {
  concurrency: 4,
}, () => {
  for (const install of installs)
    for (const kind of TOKEN_KINDS)
      test(`etcd ${install.version}, ${kind} tokens`, () => expires(install, kind));
});

async function expires(install: EtcdInstall, kind: TokenKind): Promise<void> {
  await using at = await place(install, kind);
  const { relay, direct, client } = at;
  const as = (name: string): Promise<CallOptions> => signIn(direct, name);
  const old = new WatchCall(client, await as('root'));
  await old.created({ key: b('w3/a') });
  await sleep(FORGOTTEN_MS); // a simple token would live longer if it were used meanwhile
  // A question whether there is a leader carries no token, and is refused for want of one.
  const other = new WatchCall(client, {
    metadata: { ...(await as('part')).metadata, hasleader: 'true' },
  });
  await other.created({ key: b('w3/a') });
  const writer = await as('root');
  const first = await put(direct, 'w3/a', '1', writer);
  const second = await put(direct, 'w3/a', '2', writer);
  for (const watch of [old, other]) assert.deepEqual(await watch.revisions(2), [first, second]);

  old.create({ key: b('w3/a') });
  const refused = await old.must();
  assert.deepEqual([refused.created, refused.canceled, refused.watchId], [true, true, -1n]);
  assert.match(refused.cancelReason, /invalid auth token|permission denied/);

  relay.cut();
  assert.equal(await old.next(), undefined);
  const { code, message } = await old.end;
  assert.equal(code, 14);
  assert.match(message, /does not go on with the watch: .*(invalid auth token|permission denied)/);
  const third = await put(direct, 'w3/a', '3', await as('root'));
  assert.deepEqual(await other.revisions(1), [third]);
  for (const watch of [old, other]) watch.close();
}

describe('what a user may watch', () => {
  let at: Place;
  before(async () => {
    at = await place(await newestEtcd(), 'simple');
  });
  after(() => at[Symbol.asyncDispose]());
  const as = (name: string): Promise<CallOptions> => signIn(at.direct, name);

  test('a watch beyond what its user may read is refused in the words of etcd', async () => {
    for (const grpc of [at.direct, at.client]) {
      const watch = new WatchCall(grpc, await as('part'));
      watch.create({ key: b('secret') });
      watch.create({ key: b('w3/'), rangeEnd: b('w31') });
      for (let i = 0; i < 2; i++) {
        const { created, canceled, watchId, cancelReason } = await watch.must();
        assert.deepEqual(
          [created, canceled, watchId, cancelReason],
          [true, true, -1n, 'rpc error: code = PermissionDenied desc = etcdserver: permission denied'],
        );
      }
      watch.create({ key: b('w3/'), rangeEnd: b('w30') });
      assert.equal((await watch.must()).canceled, false);
      watch.close();
    }
  });

  test('leave to watch one range says nothing about another, asked by the same token at the same time', async () => {
    const token = await as('part');
    const permitted = new WatchCall(at.client, token);
    const greedy = new WatchCall(at.client, token);
    permitted.create({ key: b('w3/a') });
    for (let i = 0; i < 3; i++) {
      greedy.create({ key: b('secret') });
      permitted.create({ key: b('w3/b') });
    }
    for (let i = 0; i < 4; i++) assert.equal((await permitted.must()).canceled, false);
    for (let i = 0; i < 3; i++) assert.equal((await greedy.must()).canceled, true);
    for (const watch of [permitted, greedy]) watch.close();
  });

  test('users are told apart by their tokens, whatever else they have in common', async () => {
    const common = {
      hasleader: 'true',
      traceparent: '00-1',
      'x-request-id': '1',
      'client-api-version': '3.5',
    };
    const open = async (name: string) =>
      new WatchCall(at.client, { metadata: { ...common, ...(await as(name)).metadata } });
    const root = await open('root');
    const part = await open('part');
    await root.created({ key: b('secret') });
    part.create({ key: b('secret') });
    assert.equal((await part.must()).canceled, true);
    await part.created({ key: b('w3/a') });
    const revision = await put(at.direct, 'secret', '1', await as('root'));
    const other = await put(at.direct, 'w3/a', '1', await as('root'));
    assert.deepEqual(await root.revisions(1), [revision]);
    assert.deepEqual(await part.revisions(1), [other]);
    for (const watch of [root, part]) watch.close();
  });

  test('nobody is somebody', async () => {
    const root = new WatchCall(at.client, await as('root'));
    await root.created({ key: b('secret') });
    const nobody = new WatchCall(at.client, { metadata: { hasleader: 'true' } });
    nobody.create({ key: b('secret') });
    assert.equal((await nobody.must()).canceled, true);
    for (const watch of [root, nobody]) watch.close();
  });
});
