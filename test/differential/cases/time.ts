/** What takes time: progress told at intervals, leases that run out, tokens that grow old. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Permission_Type as Permit } from '#gen/authpb/auth_pb.js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import type { EtcdOptions } from '../../support/etcd.ts';
import { type Answer, until } from '../../support/until.ts';
import { type Case, script } from '../case.ts';
import { at, b, rpc, under } from '../rpc.ts';
import { Script } from '../script.ts';
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

/**
 * Does what must be done while something lives that lives for a second or two, by a script of its own: where the machine
 * stands still until that is over, and nothing comes of it, once more with another one. @returns the script and what was made
 */
function inTime<T>(
  script: Script,
  make: (aside: Script) => Promise<T>,
): Promise<readonly [Script, Answer<T>]> {
  return until('it is done in time', async () => {
    const aside = new Script(script.side);
    const made = await make(aside);
    return made !== undefined && made !== null && made !== false && ([aside, made as Answer<T>] as const);
  });
}

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
    const [leased] = await inTime(script, async (aside) => {
      await aside.run(rpc(leaseGrant, { ID: 7_101n, TTL: 1n }));
      const { code } = await aside.run(rpc(put, { ...at('time/lease'), value: b('1'), lease: 7_101n }));
      return code === 0;
    });
    script.note('a key with a lease', leased.record);
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
    const [watching, { token, stream }] = await inTime(script, async (aside) => {
      const { token } = (await as(aside, 'reader')).metadata;
      const stream = aside.stream(watch, { metadata: { token } });
      stream.send(wish.create(at('time/token')));
      const [response] = await stream.take();
      return response?.canceled === false && { token, stream };
    });
    await growOld();
    await script.run(rpc(range, at('time/token'), { metadata: { token } }));
    const [writing] = await inTime(script, async (aside) => {
      const root = await as(aside, 'root');
      return (await aside.run(rpc(put, { ...at('time/token'), value: b('1') }, root))).code === 0;
    });
    await stream.take();
    stream.send(wish.create(at('time/token')));
    await stream.take();
    stream.cancel();
    script.note('the watch', watching.record);
    script.note('the write', writing.record);
  }),
];

export const timeCases: readonly Case[] = [...progress, ...leases, ...tokens];
