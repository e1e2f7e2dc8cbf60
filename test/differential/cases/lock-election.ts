/** Locks and elections, the services that wait on the server's side. */
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Election } from '#gen/v3electionpb/election_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { type Case, calls, script } from '../case.ts';
import { at, b, rpc, under } from '../rpc.ts';
import type { Script } from '../script.ts';
import { overTime } from './odd.ts';

const { lock, unlock } = Lock.method;
const { campaign, proclaim, leader, observe, resign } = Election.method;
const { leaseGrant, leaseRevoke } = Lease.method;
const { range } = KV.method;

const leases = [9_001n, 9_002n, 9_003n] as const;
const [first, second, third] = leases;

/** Waits until so many keys stand in a queue, past the proxy so as not to be part of the record. */
async function queueOf(script: Script, prefix: string, length: number): Promise<void> {
  const count = rpc(range, { ...under(prefix), countOnly: true });
  await script.until(`${length} in the queue`, async () => {
    const { messages } = await script.side.behind.call(count.path, [count.request]);
    return Buffer.from(messages[0] ?? []).at(-1) === length;
  });
}

/** The lease that etcd made for a key of its own. */
function leaseOf(key: Uint8Array): bigint {
  const text = Buffer.from(key).toString('latin1');
  return BigInt(`0x${text.slice(text.lastIndexOf('/') + 1)}`);
}

const locks: readonly Case[] = [
  calls('lock: leases', ...leases.map((ID) => rpc(leaseGrant, { ID, TTL: 3600n }))),
  script('lock: take it and give it back', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/a'), lease: first });
    await script.runAll([
      rpc(range, { key }),
      rpc(unlock, { key }),
      rpc(unlock, { key }),
      rpc(range, { key }),
    ]);
  }),
  script('lock: with a lease of etcd', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/own') });
    await script.runAll([rpc(unlock, { key }), rpc(leaseRevoke, { ID: leaseOf(key) })]);
  }),
  script('lock: twice by the same lease', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/twice'), lease: first });
    await script.runAll([rpc(lock, { name: b('lock/twice'), lease: first }), rpc(unlock, { key })]);
  }),
  calls('lock: a lease that is not there', rpc(lock, { name: b('lock/b'), lease: 404n })),
  script('lock: no name', async (script) => {
    const { key } = await script.ask(lock, { lease: first });
    await script.run(rpc(unlock, { key }));
  }),
  calls('lock: unlock nothing', rpc(unlock), rpc(unlock, { key: b('lock/none') })),
  script('lock: wait for one another', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/c'), lease: first });
    const waiting = script.open(lock, { name: b('lock/c'), lease: second });
    await queueOf(script, 'lock/c/', 2);
    await script.run(rpc(unlock, { key }));
    await waiting.untilEnd();
    await script.run(rpc(unlock, { key: b(`lock/c/${second.toString(16)}`) }));
  }),
  script('lock: who hangs up leaves the queue', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/d'), lease: first });
    const waiting = script.open(lock, { name: b('lock/d'), lease: second });
    await queueOf(script, 'lock/d/', 2);
    waiting.cancel();
    await queueOf(script, 'lock/d/', 1);
    await script.run(rpc(unlock, { key }));
  }),
  script('lock: who waits too long leaves the queue', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/e'), lease: first });
    const late = { timeoutMs: 1500, anyCode: overTime };
    await script.run(rpc(lock, { name: b('lock/e'), lease: second }, late));
    await queueOf(script, 'lock/e/', 1);
    await script.run(rpc(unlock, { key }));
  }),
  script('lock: who waits too long is told by the server, where the client does not look', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/g'), lease: first });
    const metadata = { 'grpc-timeout': '1500m' };
    await script.run(
      rpc(lock, { name: b('lock/g'), lease: second }, { metadata, grpcOnly: true, anyCode: overTime }),
    );
    await queueOf(script, 'lock/g/', 1);
    await script.run(rpc(unlock, { key }));
  }),
  script('lock: the lease goes while waiting', async (script) => {
    const { key } = await script.ask(lock, { name: b('lock/f'), lease: first });
    const waiting = script.open(lock, { name: b('lock/f'), lease: third });
    await queueOf(script, 'lock/f/', 2);
    await script.run(rpc(leaseRevoke, { ID: third }));
    await script.run(rpc(unlock, { key }));
    await waiting.untilEnd();
  }),
];

const elections: readonly Case[] = [
  calls('election: nobody leads', rpc(leader, { name: b('election/none') }), rpc(leader)),
  script('election: campaign, proclaim, resign', async (script) => {
    const { leader: won } = await script.ask(campaign, {
      name: b('election/a'),
      lease: first,
      value: b('1'),
    });
    if (won === undefined) throw new Error('no leader key');
    await script.runAll([
      rpc(leader, { name: b('election/a') }),
      rpc(proclaim, { leader: won, value: b('2') }),
      rpc(leader, { name: b('election/a') }),
      rpc(campaign, { name: b('election/a'), lease: first, value: b('3') }),
      rpc(proclaim, { leader: { ...won, rev: 1n }, value: b('4') }),
      rpc(resign, { leader: won }),
      rpc(resign, { leader: won }),
      rpc(proclaim, { leader: won, value: b('5') }),
      rpc(leader, { name: b('election/a') }),
    ]);
  }),
  script('election: with a lease of etcd', async (script) => {
    const { leader: won } = await script.ask(campaign, { name: b('election/own'), value: b('1') });
    if (won === undefined) throw new Error('no leader key');
    await script.runAll([rpc(resign, { leader: won }), rpc(leaseRevoke, { ID: leaseOf(won.key) })]);
  }),
  calls('election: no leader key given', rpc(proclaim, { value: b('1') }), rpc(resign)),
  calls('election: a lease that is not there', rpc(campaign, { name: b('election/b'), lease: 404n })),
  script('election: wait for one another', async (script) => {
    const { leader: won } = await script.ask(campaign, {
      name: b('election/c'),
      lease: first,
      value: b('1'),
    });
    const waiting = script.open(campaign, { name: b('election/c'), lease: second, value: b('2') });
    await queueOf(script, 'election/c/', 2);
    await script.run(rpc(resign, won === undefined ? {} : { leader: won }));
    await waiting.untilEnd();
    await script.run(rpc(leader, { name: b('election/c') }));
  }),
  script('election: observe', async (script) => {
    const watching = script.open(observe, { name: b('election/d') });
    const { leader: won } = await script.ask(campaign, {
      name: b('election/d'),
      lease: first,
      value: b('1'),
    });
    await watching.take();
    await script.run(rpc(proclaim, won === undefined ? {} : { leader: won, value: b('2') }));
    await watching.take();
    const late = script.open(observe, { name: b('election/d') });
    await late.take();
    watching.cancel();
    late.cancel();
    await script.run(rpc(resign, won === undefined ? {} : { leader: won }));
  }),
  calls('election: what is left', rpc(range, under('election/')), rpc(range, at('lock/a'))),
];

export const lockCases: readonly Case[] = [...locks, ...elections];
