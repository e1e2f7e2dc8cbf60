/** What takes time: progress told at intervals, leases that run out, tokens that grow old. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Permission_Type as Permit } from '#gen/authpb/auth_pb.js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import type { EtcdOptions } from '../../support/etcd.ts';
import { type Case, script } from '../case.ts';
import { at, b, rpc, under } from '../rpc.ts';
import { as } from './auth.ts';
import { wish } from './watch.ts';

const { put, range } = KV.method;
const { watch } = Watch.method;
const { leaseGrant, leaseTimeToLive, leaseKeepAlive } = Lease.method;
const { userAdd, roleAdd, roleGrantPermission, userGrantRole, authEnable } = Auth.method;

const tokenSeconds = 2;
const progressMs = 200;

/** The settings of an etcd in which little time is much. */
export const quickSettings: EtcdOptions = {
  heartbeatMs: 20,
  electionMs: 200,
  bcryptCost: 4,
  watchProgressIntervalMs: progressMs,
  authTokenTtlSeconds: tokenSeconds,
};

const progress: readonly Case[] = [
  script('time: progress is told at intervals, to who wants it', async (script) => {
    const stream = script.stream(watch);
    stream.send(wish.create({ ...at('time/unwanted'), watchId: 2n }));
    await stream.take();
    stream.send(wish.create({ ...at('time/wanted'), progressNotify: true, watchId: 1n }));
    await stream.take(4);
    // Where the machine stands still, some come late, or several at once: there are six in a row that do not.
    const times: number[] = [];
    const isInRow = (): boolean => {
      const interval = ((times.at(-1) ?? Number.NaN) - (times.at(-7) ?? Number.NaN)) / 6;
      // etcd adds up to a tenth; the rest is for a machine that has other things to do.
      return interval > progressMs * 0.75 && interval < progressMs * 2;
    };
    await script.until('some interval apart', async () => {
      const [response] = await stream.read();
      if (response?.watchId !== 1n || response.events.length > 0) throw new Error('no progress of the watch');
      times.push(performance.now());
      return isInRow();
    });
    // Those that come meanwhile are no surprise.
    stream.send(wish.cancel(1n));
    await script.until('it is cancelled', async () => (await stream.read())[0]?.canceled === true);
    stream.cancel();
  }),
];

const leases: readonly Case[] = [
  script('time: a lease runs out and its key is gone', async (script) => {
    const stream = script.stream(watch);
    stream.send(wish.create({ ...under('time/lease'), prevKv: true }));
    await stream.take();
    await script.runAll([
      rpc(leaseGrant, { ID: 7_101n, TTL: 1n }),
      rpc(put, { ...at('time/lease'), value: b('1'), lease: 7_101n }),
    ]);
    await stream.take(2);
    stream.cancel();
    await script.runAll([rpc(leaseTimeToLive, { ID: 7_101n, keys: true }), rpc(range, at('time/lease'))]);
    const beats = script.stream(leaseKeepAlive);
    beats.send({ ID: 7_101n });
    beats.halfClose();
    await beats.untilEnd();
  }),
];

/** Waits longer than a token lives, without using it, for any use makes it live longer. */
const growOld = (): Promise<void> => sleep(2_500 * tokenSeconds);

const tokens: readonly Case[] = [
  script('time: a token grows old while it watches', async (script) => {
    await script.runAll([
      ...['root', 'reader'].map((name) => rpc(userAdd, { name, password: `password of ${name}` })),
      ...['root', 'r'].map((name) => rpc(roleAdd, { name })),
      rpc(roleGrantPermission, { name: 'r', perm: { permType: Permit.READ, ...under('time/') } }),
      rpc(userGrantRole, { user: 'root', role: 'root' }),
      rpc(userGrantRole, { user: 'reader', role: 'r' }),
      rpc(authEnable),
    ]);
    const { token } = (await as(script, 'reader')).metadata;
    const stream = script.stream(watch, { metadata: { token } });
    stream.send(wish.create(at('time/token')));
    await stream.take();
    await growOld();
    await script.run(rpc(range, at('time/token'), { metadata: { token } }));
    await script.run(rpc(put, { ...at('time/token'), value: b('1') }, await as(script, 'root')));
    await stream.take();
    stream.send(wish.create(at('time/token')));
    await stream.take();
    stream.cancel();
  }),
];

export const timeCases: readonly Case[] = [...progress, ...leases, ...tokens];
