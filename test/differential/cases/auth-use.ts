/** What calls and streams answer to users, strangers and wrong tokens while auth is on. */
import { Permission_Type as Permit } from '#gen/authpb/auth_pb.js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { type Case, script } from '../case.ts';
import { at, b, type Rpc, rpc, under, zero } from '../rpc.ts';
import type { Script } from '../script.ts';
import { as } from './auth.ts';
import { wish } from './watch.ts';

const { range, rangeStream, put, deleteRange, txn, compact } = KV.method;
const { leaseGrant, leaseRevoke, leaseTimeToLive, leaseLeases, leaseKeepAlive } = Lease.method;
const maintenance = Maintenance.method;

const lease = 6_001n;
type Metadata = Readonly<Record<string, string>>;

/** Calls of all services, some of which each user may make. */
function everyCall(metadata: Metadata): readonly Rpc[] {
  const by = { metadata };
  return [
    ...['auth/r/a', 'auth/w/a', 'auth/rw/a'].flatMap((key) => [
      rpc(range, at(key), by),
      rpc(range, { ...at(key), serializable: true }, by),
      rpc(rangeStream, at(key), by),
      rpc(put, { ...at(key), value: b('1') }, by),
      rpc(put, { ...at(key), value: b('2'), prevKv: true }, by),
      rpc(deleteRange, { ...at(key), prevKv: true }, by),
      rpc(txn, { success: [{ request: { case: 'requestRange', value: at(key) } }] }, by),
      rpc(txn, { failure: [{ request: { case: 'requestPut', value: at(key) } }] }, by),
      rpc(txn, { compare: [{ ...at(key), targetUnion: { case: 'version', value: 9n } }] }, by),
    ]),
    rpc(range, { key: zero, rangeEnd: zero, countOnly: true }, by),
    rpc(range, under('auth/r/'), by),
    rpc(compact, { revision: 1n }, by),
    rpc(leaseGrant, { ID: lease, TTL: 3600n }, by),
    rpc(leaseTimeToLive, { ID: lease, keys: true }, by),
    rpc(leaseLeases, {}, by),
    rpc(leaseRevoke, { ID: lease }, by),
    rpc(Cluster.method.memberList, {}, by),
    rpc(Cluster.method.memberRemove, { ID: 404n }, by),
    rpc(maintenance.alarm, {}, by),
    rpc(maintenance.status, {}, by),
    rpc(maintenance.hashKV, {}, by),
    rpc(maintenance.hash, {}, by),
    rpc(maintenance.defragment, {}, by),
    rpc(maintenance.moveLeader, { targetID: 404n }, by),
    rpc(Election.method.leader, { name: b('auth/r/election') }, by),
  ];
}

const who: readonly Case[] = [
  script('auth: calls of nobody', (script) => script.runAll(everyCall({}))),
  script('auth: calls with a wrong token', (script) => script.runAll(everyCall({ token: 'wrong.1' }))),
  script('auth: calls with an empty token', (script) => script.runAll(everyCall({ token: '' }))),
  ...['root', 'reader', 'writer'].map((name) =>
    script(`auth: calls of ${name}`, async (script) =>
      script.runAll(everyCall((await as(script, name)).metadata)),
    ),
  ),
  script('auth: the token as authorization', async (script) => {
    const { token } = (await as(script, 'reader')).metadata;
    await script.runAll([
      rpc(range, at('auth/r/a'), { metadata: { authorization: token } }),
      rpc(range, at('auth/w/a'), { metadata: { authorization: token } }),
      rpc(range, at('auth/r/a'), { metadata: { authorization: 'wrong.1' } }),
      rpc(range, at('auth/r/a'), { metadata: { authorization: 'wrong.1', token } }),
      rpc(range, at('auth/r/a'), { metadata: { authorization: token, token: 'wrong.1' } }),
    ]);
  }),
  script('auth: a bearer token, which etcd knows since 3.7', async (script) => {
    const { token } = (await as(script, 'reader')).metadata;
    const metadata = { authorization: `Bearer ${token}` };
    const call = rpc(range, at('auth/r/a'), {
      metadata,
      documented: {
        direct: [
          { code: 16, message: 'etcdserver: invalid auth token' },
          { code: 0, message: '' },
        ],
        proxy: [{ code: 0, message: '' }],
      },
    });
    await script.run(call);
  }),
  script('auth: a token from before a change', async (script) => {
    const old = await as(script, 'writer');
    const root = await as(script, 'root');
    const perm = { permType: Permit.READ, ...at('auth/late') };
    await script.runAll([
      rpc(Auth.method.roleGrantPermission, { name: 'w', perm }, root),
      rpc(put, at('auth/rw/b'), old),
      rpc(range, at('auth/late'), old),
      rpc(Auth.method.userChangePassword, { name: 'writer', password: 'password of writer' }, root),
      rpc(range, at('auth/late'), old),
    ]);
  }),
  script('auth: snapshots, locks and elections are not for everyone', async (script) => {
    const reader = await as(script, 'reader');
    await script.runAll([
      rpc(maintenance.snapshot, {}, reader),
      rpc(maintenance.snapshot),
      rpc(Lock.method.lock, { name: b('auth/r/lock') }, reader),
      rpc(Lock.method.lock, { name: b('auth/r/lock') }),
      rpc(Lock.method.unlock, { key: b('auth/r/lock') }, reader),
      rpc(Election.method.campaign, { name: b('auth/r/election') }, reader),
      rpc(Election.method.observe, { name: b('auth/w/election') }, reader),
      rpc(Election.method.observe, { name: b('auth/w/election') }),
    ]);
  }),
];

/** A watch of somebody on ranges allowed and not. */
async function watches(script: Script, metadata: Metadata): Promise<void> {
  const stream = script.stream(Watch.method.watch, { metadata });
  for (const request of [
    under('auth/r/'),
    under('auth/w/'),
    under('auth/'),
    {},
    { key: zero, rangeEnd: zero },
  ]) {
    stream.send(wish.create(request));
    await stream.take();
  }
  stream.cancel();
}

const streams: readonly Case[] = [
  script('auth: watches of nobody', (script) => watches(script, {})),
  script('auth: watches with a wrong token', (script) => watches(script, { token: 'wrong.1' })),
  script('auth: watches of a reader', async (script) =>
    watches(script, (await as(script, 'reader')).metadata),
  ),
  script('auth: a watch of a reader sees what others write', async (script) => {
    const root = await as(script, 'root');
    const stream = script.stream(Watch.method.watch, await as(script, 'reader'));
    stream.send(wish.create(under('auth/r/')));
    await stream.take();
    await script.run(rpc(put, { ...at('auth/r/seen'), value: b('1') }, root));
    await stream.take();
    stream.cancel();
  }),
  ...['nobody', 'reader'].map((name) =>
    script(`auth: keep alive of ${name}`, async (script) => {
      const root = await as(script, 'root');
      await script.run(rpc(leaseGrant, { ID: lease, TTL: 3600n }, root));
      await script.run(rpc(put, { ...at('auth/w/leased'), lease }, root));
      const stream = script.stream(leaseKeepAlive, name === 'nobody' ? {} : await as(script, name));
      stream.send({ ID: lease });
      stream.halfClose();
      await stream.untilEnd();
      if (name === 'reader') await script.run(rpc(leaseRevoke, { ID: lease }, await as(script, name)));
      await script.run(rpc(leaseRevoke, { ID: lease }, root));
    }),
  ),
];

export const authUseCases: readonly Case[] = [...who, ...streams];
