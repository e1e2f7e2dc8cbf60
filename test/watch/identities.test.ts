/**
 * Watches of different users on one proxy: a token that expires ends exactly its own watches, with a reason (the
 * incumbent's defect W3), and nobody sees through another's eyes.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AuthenticateRequestSchema, AuthenticateResponseSchema } from '#gen/etcdserverpb/auth_pb.js';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { CutRelay } from './cut-relay.ts';

const held = new AsyncDisposableStack();
let etcd: EtcdCluster;
let relay: CutRelay;
let proxy: RunningProxy;
let direct: RawGrpcClient;
let client: RawGrpcClient;

before(async () => {
  etcd = held.use(await startEtcd({ bcryptCost: 4, authTokenTtlSeconds: 3 }));
  for (const args of [
    ['user', 'add', 'root:pw'],
    ['user', 'grant-role', 'root', 'root'],
    ['role', 'add', 'part'],
    ['role', 'grant-permission', 'part', 'readwrite', 'w3/', 'w30'],
    ['user', 'add', 'part:pw'],
    ['user', 'grant-role', 'part', 'part'],
    ['auth', 'enable'],
  ]) {
    const { code, stderr } = await etcd.etcdctl(args[0] === 'role' && args[1] === 'add' ? args : args);
    assert.equal(code, 0, stderr);
  }
  relay = held.use(await CutRelay.start(etcd.first.address));
  proxy = held.use(await startProxy({ endpoints: [relay.address] }));
  direct = held.use(new RawGrpcClient(etcd.first.address));
  client = held.use(new RawGrpcClient(proxy.address));
});
after(() => held.disposeAsync());

/** The metadata of a call of a user's. */
async function as(name: string): Promise<{ readonly metadata: { readonly token: string } }> {
  const message = toBinary(
    AuthenticateRequestSchema,
    create(AuthenticateRequestSchema, { name, password: 'pw' }),
  );
  const { messages } = await direct.call('/etcdserverpb.Auth/Authenticate', [message]);
  const { token } = fromBinary(AuthenticateResponseSchema, messages[0] as Uint8Array);
  return { metadata: { token } };
}

describe('W3: a token that expires', () => {
  test('ends exactly its own watches, and only when etcd must be asked again', async () => {
    const old = new WatchCall(client, await as('root'));
    await old.created({ key: b('w3/a') });
    await sleep(4500); // the token is not used meanwhile, so it expires
    const fresh = await as('part');
    const other = new WatchCall(client, fresh);
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
    const ended = await old.must();
    assert.equal(ended.canceled, true);
    assert.equal(ended.watchId, 0n);
    assert.match(ended.cancelReason, /invalid auth token|permission denied/);
    const third = await put(direct, 'w3/a', '3', await as('root'));
    assert.deepEqual(await other.revisions(1), [third]);
    for (const watch of [old, other]) watch.close();
  });

  test('a watch beyond what its user may read is refused in the words of etcd', async () => {
    for (const grpc of [direct, client]) {
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
    const permitted = new WatchCall(client, token);
    const greedy = new WatchCall(client, token);
    permitted.create({ key: b('w3/a') });
    for (let i = 0; i < 3; i++) {
      greedy.create({ key: b('secret') });
      permitted.create({ key: b('w3/b') });
    }
    for (let i = 0; i < 4; i++) assert.equal((await permitted.must()).canceled, false);
    for (let i = 0; i < 3; i++) assert.equal((await greedy.must()).canceled, true);
    for (const watch of [permitted, greedy]) watch.close();
  });

  test('nobody is somebody', async () => {
    const root = new WatchCall(client, await as('root'));
    await root.created({ key: b('secret') });
    const nobody = new WatchCall(client);
    nobody.create({ key: b('secret') });
    assert.equal((await nobody.must()).canceled, true);
    for (const watch of [root, nobody]) watch.close();
  });
});
