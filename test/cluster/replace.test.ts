/**
 * What a cluster goes through in its life, while clients of a proxy write, read, watch and keep leases alive: members are
 * killed, held still, restarted, and replaced one by one until none of the first is left.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admin } from '../failing/admin.ts';
import { availableEtcds, type EtcdCluster, type EtcdMember, newestEtcd, startEtcd } from '../support/etcd.ts';
import { removeFrom, statusOf, untilStatus } from '../support/members.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { Load } from './load.ts';

/** The address in use, from the log. */
function inUse({ stderr }: RunningProxy): string {
  const line = stderr.findLast((text) => text.includes('"msg":"connected to etcd"')) ?? '{}';
  return (JSON.parse(line) as { endpoint?: string }).endpoint?.replace('http://', '') ?? '';
}

const memberInUse = (members: readonly EtcdMember[], proxy: RunningProxy): EtcdMember => {
  const member = members.find(({ address }) => address === inUse(proxy));
  assert.ok(member, `one of the members is in use: ${inUse(proxy)}`);
  return member;
};

/** Kills, holds and restarts whichever member is in use. @returns how long the switch took after each */
async function strike(
  cluster: EtcdCluster,
  proxy: RunningProxy,
  load: Load,
): Promise<Record<string, number>> {
  const took: Record<string, number> = {};
  const faults = {
    'kill -9': async (member: EtcdMember) => void (await member.kill()),
    SIGSTOP: async (member: EtcdMember) => member.pause(),
    restart: async (member: EtcdMember) => member.stop(),
  };
  for (const [name, fault] of Object.entries(faults)) {
    await load.servedAfter(performance.now());
    const member = memberInUse(cluster.members, proxy);
    const { id, leader } = await statusOf(member);
    await fault(member);
    took[id === leader ? `${name} of the leader` : name] = await load.servedAfter(performance.now());
    await until('another one is in use', () => inUse(proxy) !== member.address);
    if (name === 'SIGSTOP') member.resume();
    else await member.start();
    await member.waitHealthy();
  }
  return took;
}

/** Replaces every member, each time the oldest one. @returns those that there are in the end */
async function replaceAll(cluster: EtcdCluster, load: Load): Promise<EtcdMember[]> {
  let members = [...cluster.members];
  for (let round = 0; round < 3; round++) {
    const [oldest, ...others] = members as [EtcdMember, ...EtcdMember[]];
    const { id } = await statusOf(oldest);
    await removeFrom(others, oldest);
    for (const other of others)
      await untilStatus(
        other,
        ({ leader }) => leader !== 0n && leader !== id,
        'a member with another leader',
      );
    const added = await cluster.addMember(others);
    await untilStatus(added, ({ leader }) => leader !== 0n, 'a member with a leader');
    await added.waitHealthy();
    members = [...others, added];
    await load.servedAfter(performance.now());
  }
  return members;
}

for (const install of LONG ? await availableEtcds() : [await newestEtcd()])
  test(`members fail and are replaced under load, etcd ${install.version}`, {
    timeout: 600_000,
  }, async (t) => {
    await using cluster = await startEtcd({ members: 3, install });
    await using proxy = await startProxy({
      endpoints: cluster.endpoints,
      flags: ['--endpoints-auto-sync-interval=500ms', '--log-level=debug'],
    });
    using load = await Load.start(proxy.address, new Admin(cluster.first.address));
    await load.servedAfter(performance.now());
    const took = await strike(cluster, proxy, load);
    const members = await replaceAll(cluster, load);
    assert.equal(
      members.some((member) => cluster.members.includes(member)),
      false,
    );
    const result = await load.finish(new Admin((members[0] as EtcdMember).address));
    const { failedPuts, ...counts } = result;
    t.diagnostic(
      `served again after ${JSON.stringify(took)} ms; ${JSON.stringify(counts)}; puts of unknown fate: ${failedPuts.length}`,
    );
    for (const failure of failedPuts) assert.match(failure, UNKNOWN_OR_REFUSED);
    await until('a new member is in use', () => members.some(({ address }) => address === inUse(proxy)));
  });

/** How a write may fail while members die: of unknown fate by the proxy, or refused by etcd. */
const UNKNOWN_OR_REFUSED = /may or may not have taken effect|etcdserver: |raft: stopped/;
