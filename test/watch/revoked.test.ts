/**
 * Tokens that lose their worth while watches live on them: a role taken away, a permission taken away, a password
 * changed, a user deleted; with simple tokens, which etcd forgets, and with JWTs, which become too old. The proxy's
 * clients see what those of etcd see, and nobody else notices.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WatchResponse } from '#gen/etcdserverpb/watch_pb.js';
import { type EtcdCluster, type EtcdInstall, startEtcd } from '../support/etcd.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { outerEtcds } from '../support/releases.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { signIn, TOKEN_KINDS, type TokenKind, tokens } from './tokens.ts';

/** What makes tokens worthless, as arguments of etcdctl, for a user and a role of these names. */
const REVOCATIONS: readonly (readonly [what: string, args: (name: string) => readonly string[]])[] = [
  ['the role is taken from the user', (name) => ['user', 'revoke-role', name, name]],
  ['the permission is taken from the role', (name) => ['role', 'revoke-permission', name, 'w3/', 'w30']],
  ['the role is deleted', (name) => ['role', 'delete', name]],
  ['the password is changed', (name) => ['user', 'passwd', name, '--interactive=false']],
  ['the user is deleted', (name) => ['user', 'delete', name]],
];

async function must(etcd: EtcdCluster, args: readonly string[], input = ''): Promise<void> {
  const { code, stderr } = await etcd.etcdctl(args, { input });
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
}

/** What a client sees of a response, but for what differs from call to call. */
const seen = ({ watchId, created, canceled, cancelReason, events }: WatchResponse) => ({
  watchId,
  created,
  canceled,
  cancelReason,
  events: events.map(({ kv }) => Buffer.from(kv?.value ?? []).toString()),
});

for (const install of await outerEtcds())
  for (const kind of TOKEN_KINDS) test(`etcd ${install.version}, ${kind} tokens`, () => check(install, kind));

async function check(install: EtcdInstall, kind: TokenKind): Promise<void> {
  await using etcd = await startEtcd({ install, ...(await tokens(kind, 600)) });
  await using relay = await Relay.open(etcd.first.address);
  await using proxy = await startProxy({ endpoints: [relay.address] });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const names = REVOCATIONS.map((_, i) => `user${i}`);
  for (const name of ['root', ...names]) await must(etcd, ['user', 'add', `${name}:pw`]);
  await must(etcd, ['user', 'grant-role', 'root', 'root']);
  for (const name of names) {
    await must(etcd, ['role', 'add', name]);
    await must(etcd, ['role', 'grant-permission', name, 'readwrite', 'w3/', 'w30']);
    await must(etcd, ['user', 'grant-role', name, name]);
  }
  await must(etcd, ['auth', 'enable']);
  for (const [i, [what, args]] of REVOCATIONS.entries()) {
    const name = names[i] as string;
    const token = await signIn(direct, name);
    const calls = [new WatchCall(direct, token), new WatchCall(client, token)] as const;
    const bystander = new WatchCall(client, await signIn(direct, 'root'));
    for (const call of [...calls, bystander]) await call.created({ key: b('w3/a') });
    await must(etcd, ['--user=root:pw', ...args(name)], 'new\n');
    const root = await signIn(direct, 'root');
    const first = await put(direct, 'w3/a', what, root);
    const fresh = new WatchCall(client, root);
    await fresh.created({ key: b('w3/a') });

    // What is watched goes on, what is asked anew is refused: by etcd, and so by the proxy, which has it all at hand.
    const [byEtcd, byProxy] = [await story(calls[0], first), await story(calls[1], first)];
    assert.deepEqual(byProxy, byEtcd, what);
    assert.equal(byEtcd[0]?.events[0], what);
    assert.ok(
      byEtcd.slice(1).every(({ canceled }) => canceled),
      what,
    );
    assert.deepEqual(await bystander.revisions(1), [first]);

    // When the proxy itself has to ask anew, the stream ends so that its client asks too; nobody else's does.
    relay.cut();
    assert.equal(await calls[1].next(), undefined, what);
    const { code, message } = await calls[1].end;
    const because = `etcd-connect-proxy: etcd does not go on with the watch: ${byEtcd[1]?.cancelReason}`;
    assert.deepEqual([code, message], [14, because], what);
    const resumed = new WatchCall(client, token);
    resumed.create({ key: b('w3/a'), startRevision: BigInt(first + 1) });
    assert.deepEqual(seen(await resumed.must()), byEtcd[1], what);
    resumed.close();
    const second = await put(direct, 'w3/a', 'more', root);
    // To etcd every older JWT is worthless then, the bystander's too.
    if (kind === 'simple') assert.deepEqual(await bystander.revisions(1), [second]);
    assert.deepEqual(await fresh.revisions(1), [second]);
    for (const call of [...calls, bystander, fresh]) call.close();
  }
}

/** What a client is told when it goes on with a watch and asks for others, now and from the past. */
async function story(call: WatchCall, first: number): Promise<ReturnType<typeof seen>[]> {
  const told = [seen(await call.must())];
  call.create({ key: b('w3/a') });
  told.push(seen(await call.must()));
  call.create({ key: b('w3/'), rangeEnd: b('w30'), startRevision: BigInt(first) });
  told.push(seen(await call.must()));
  call.create({ key: b('w3/a'), startRevision: BigInt(first) });
  told.push(seen(await call.must()));
  return told;
}
