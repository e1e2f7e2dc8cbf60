/** Members of the cluster and its maintenance, as far as one member goes. */
import { createHash } from 'node:crypto';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import {
  AlarmRequest_AlarmAction as Action,
  AlarmType,
  DowngradeRequest_DowngradeAction as Downgrade,
  Maintenance,
} from '#gen/etcdserverpb/maintenance_pb.js';
import { type Case, calls, script } from '../case.ts';
import { at, b, rpc } from '../rpc.ts';
import type { Script } from '../script.ts';

const { memberAdd, memberRemove, memberUpdate, memberList, memberPromote } = Cluster.method;
const { alarm, status, defragment, hash, hashKV, snapshot, moveLeader, downgrade } = Maintenance.method;
const { put, range } = KV.method;

const learner = { peerURLs: ['http://127.0.0.1:1'], isLearner: true };

const members: readonly Case[] = [
  calls('members: list', rpc(memberList), rpc(memberList, { linearizable: true })),
  calls(
    'members: add with bad addresses',
    rpc(memberAdd, { peerURLs: ['no address'] }),
    rpc(memberAdd, { peerURLs: ['ftp://127.0.0.1:1'] }),
    rpc(memberAdd),
  ),
  calls(
    'members: remove, update and promote one that is not there',
    rpc(memberRemove, { ID: 404n }),
    rpc(memberUpdate, { ID: 404n, peerURLs: ['http://127.0.0.1:1'] }),
    rpc(memberPromote, { ID: 404n }),
    rpc(memberRemove),
    rpc(memberPromote),
  ),
  script('members: update with bad addresses, with its own, promote a voter', async (script) => {
    const { members } = await script.ask(memberList);
    const ID = members[0]?.ID ?? 0n;
    await script.runAll([
      rpc(memberUpdate, { ID, peerURLs: ['no address'] }),
      rpc(memberUpdate, { ID, peerURLs: members[0]?.peerURLs ?? [] }),
      rpc(memberPromote, { ID }),
      rpc(memberAdd, { peerURLs: members[0]?.peerURLs ?? [], isLearner: true }),
    ]);
  }),
  script('members: a learner comes, cannot be promoted, and goes', async (script) => {
    const { member } = await script.ask(memberAdd, learner);
    const ID = member?.ID ?? 0n;
    await script.runAll([
      rpc(memberAdd, { ...learner, peerURLs: ['http://127.0.0.1:2'] }),
      rpc(memberPromote, { ID }),
      rpc(memberList),
      rpc(memberRemove, { ID }),
      rpc(memberRemove, { ID }),
      rpc(memberList),
    ]);
  }),
];

const get = { action: Action.GET };

const alarms: readonly Case[] = [
  calls('alarm: none', rpc(alarm), rpc(alarm, { ...get, alarm: AlarmType.NOSPACE })),
  script('alarm: no space, no more writing', async (script) => {
    const memberID = (await script.ask(memberList)).members[0]?.ID ?? 0n;
    const noSpace = { memberID, alarm: AlarmType.NOSPACE };
    await script.runAll([
      rpc(alarm, { ...noSpace, action: Action.ACTIVATE }),
      rpc(alarm),
      rpc(status),
      rpc(put, { ...at('alarm/a'), value: b('1') }),
      rpc(KV.method.txn, { success: [{ request: { case: 'requestPut', value: at('alarm/a') } }] }),
      rpc(range, at('alarm/a')),
      rpc(alarm, { ...noSpace, action: Action.DEACTIVATE }),
      rpc(put, { ...at('alarm/a'), value: b('1') }),
    ]);
  }),
  script('alarm: corrupt', async (script) => {
    const memberID = (await script.ask(memberList)).members[0]?.ID ?? 0n;
    const corrupt = { memberID, alarm: AlarmType.CORRUPT };
    await script.runAll([
      rpc(alarm, { ...corrupt, action: Action.ACTIVATE }),
      rpc(alarm, { ...get, alarm: AlarmType.CORRUPT }),
      rpc(put, { ...at('alarm/b'), value: b('1') }),
      rpc(range, at('alarm/b')),
      rpc(alarm, { ...corrupt, action: Action.DEACTIVATE }),
      rpc(put, { ...at('alarm/b'), value: b('1') }),
    ]);
  }),
];

/** Takes a snapshot, which ends with its own SHA-256: so every byte of it is known to have come, in order. */
async function takeSnapshot(script: Script): Promise<void> {
  const call = script.open(snapshot);
  const blobs: Uint8Array[] = [];
  const remaining: bigint[] = [];
  while (remaining.at(-1) !== 0n || blobs.at(-1)?.length !== 32) {
    const [part] = await call.read();
    blobs.push(part?.blob ?? new Uint8Array());
    remaining.push(part?.remainingBytes ?? 0n);
  }
  await call.untilEnd();
  const whole = Buffer.concat(blobs);
  const [content, hash] = [whole.subarray(0, -32), whole.subarray(-32)];
  script.note('its hash is right', createHash('sha256').update(content).digest().equals(hash));
  script.note('whole pages', content.length > 0 && content.length % 4096 === 0);
  const goesDown = remaining.every(
    (left, index) =>
      index === 0 || left === 0n || (remaining[index - 1] ?? 0n) - left === BigInt(blobs[index]?.length ?? 0),
  );
  script.note('what remains goes down by what came', goesDown);
}

const upkeep: readonly Case[] = [
  calls('maintenance: status', rpc(status)),
  calls('maintenance: defragment', rpc(defragment)),
  calls('maintenance: hash', rpc(hash), rpc(hashKV), rpc(hashKV, { revision: 1n << 40n })),
  script('maintenance: hash of revisions', async (script) => {
    const revision = (await script.ask(range, at('none'))).header?.revision ?? 0n;
    await script.runAll([
      rpc(hashKV, { revision }),
      rpc(hashKV, { revision: -1n }),
      rpc(hashKV, { revision: 1n }),
    ]);
  }),
  script('maintenance: move the leader to who is not there, and to itself', async (script) => {
    const targetID = (await script.ask(memberList)).members[0]?.ID ?? 0n;
    await script.runAll([
      rpc(moveLeader, { targetID: 404n }),
      rpc(moveLeader),
      rpc(moveLeader, { targetID }),
    ]);
  }),
  calls(
    'maintenance: downgrade',
    ...[Downgrade.VALIDATE, Downgrade.ENABLE].flatMap((action) =>
      ['', 'nonsense', '3', '3.0.0', '2.3.0', '3.9.0', '4.0'].map((version) =>
        rpc(downgrade, { action, version }),
      ),
    ),
    ...['3.3.0', '3.4.0', '3.5.0', '3.6.0'].map((version) =>
      rpc(downgrade, { action: Downgrade.VALIDATE, version }),
    ),
    rpc(downgrade, { action: Downgrade.CANCEL }),
    rpc(downgrade, { action: 9 as Downgrade }),
  ),
  script('maintenance: snapshot', takeSnapshot),
];

export const clusterCases: readonly Case[] = [...members, ...alarms, ...upkeep];
