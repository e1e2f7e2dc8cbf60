/**
 * A cluster of three that loses its members one by one, asked directly and through the proxy at the same time: what
 * a follower refuses, and what is left without a leader. With `LONG=1` within a namespace as well.
 */
import { after, before, describe, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { Cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { Watch } from '#gen/etcdserverpb/watch_pb.js';
import { type EtcdCluster, type EtcdMember, startEtcd } from '../support/etcd.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { type Case, calls, script } from './case.ts';
import { wish } from './cases/watch.ts';
import { at, pathOf, rpc } from './rpc.ts';
import { Script } from './script.ts';
import { etcdsToCompare } from './settings.ts';
import { direct, grpc, type Side, sideTo, web, within } from './side.ts';
import { assertSame, record } from './suite.ts';

const { range, put, txn } = KV.method;
const { watch } = Watch.method;
const { leaseKeepAlive, leaseGrant } = Lease.method;
const { memberAdd, memberList } = Cluster.method;
const { status, moveLeader } = Maintenance.method;

const leaderWanted = { metadata: { hasleader: 'true' } };

/** What a member says of itself. */
async function statusOf(member: EtcdMember) {
  using client = new RawGrpcClient(member.address);
  const { messages, code, message } = await client.call('/etcdserverpb.Maintenance/Status', [
    new Uint8Array(),
  ]);
  if (code !== 0) throw new Error(message);
  return fromBinary(status.output, messages[0] ?? new Uint8Array());
}

/** Whether a member leads. */
async function leads(member: EtcdMember): Promise<boolean> {
  const { header, leader } = await statusOf(member);
  return leader !== 0n && header?.memberId === leader;
}

/** Whom a member follows, since which election, and what it has made of its store: some time after its start it brings that up to date. */
async function stateOf(member: EtcdMember): Promise<string> {
  const { leader, raftTerm, storageVersion } = await statusOf(member);
  return `${leader} since ${raftTerm}, store ${storageVersion}`;
}

/** A member that follows; two of three do. */
async function follower(cluster: EtcdCluster): Promise<EtcdMember> {
  for (const member of cluster.members) if (!(await leads(member))) return member;
  throw new Error('every member leads');
}

const whole: readonly Case[] = [
  calls(
    'a follower: it serves',
    rpc(range, at('quorum')),
    rpc(range, { ...at('quorum'), serializable: true }),
    rpc(memberList, { linearizable: true }),
    rpc(status),
  ),
  calls('a follower: it moves no leader', rpc(moveLeader, { targetID: 404n })),
];

const withoutOne: readonly Case[] = [
  calls('a member gone: no member is added', rpc(memberAdd, { peerURLs: ['http://127.0.0.1:1'] })),
];

const withoutLeader: readonly Case[] = [
  calls(
    'no leader: what needs none',
    rpc(range, { ...at('quorum'), serializable: true }),
    rpc(memberList),
    rpc(range, {}),
  ),
  calls(
    'no leader: what wants one',
    rpc(range, { ...at('quorum'), serializable: true }, leaderWanted),
    rpc(put, at('quorum'), leaderWanted),
    rpc(leaseGrant, { ID: 1n, TTL: 60n }, leaderWanted),
    rpc(moveLeader, { targetID: 404n }),
  ),
  script('no leader: new streams that want one', async (script) => {
    for (const method of [watch, leaseKeepAlive]) {
      const stream = script.side.grpc.open(pathOf(method), leaderWanted);
      const { code, message } = await stream.end;
      script.note(method.name, { code, message });
    }
  }),
  script('no leader: what waits for one in vain', async (script) => {
    await Promise.all([
      script.run(rpc(range, at('quorum'))),
      script.run(rpc(put, at('quorum'))),
      script.run(rpc(txn, { success: [{ request: { case: 'requestPut', value: at('quorum') } }] })),
    ]);
    script.sort();
  }),
];

/** Streams that were open before the leader was lost. */
async function openStreams(script: Script) {
  const watching = script.stream(watch, leaderWanted);
  watching.send(wish.create(at('quorum')));
  await watching.take();
  const beating = script.stream(leaseKeepAlive, leaderWanted);
  beating.send({ ID: 404n });
  await beating.take();
  return { watching, beating };
}

for (const install of await etcdsToCompare()) {
  describe(`quorum, etcd ${install.version}`, () => {
    const held = new AsyncDisposableStack();
    let sides: Side[] = [];
    let member: EtcdMember;
    let others: EtcdMember[] = [];
    const compare = (cases: readonly Case[]): void => {
      for (const one of cases)
        test(one.name, { timeout: 120_000 }, async () =>
          assertSame(await Promise.all(sides.map((side) => record(one, side)))),
        );
    };
    /** The same of calls that change nothing: where a leader stands still for a moment it leads no more, and they are made anew. */
    const compareSteadily = (cases: readonly Case[]): void => {
      for (const one of cases)
        test(one.name, { timeout: 120_000 }, async () =>
          assertSame(
            await until('one leader and one kind of store all the while', async () => {
              const before = await stateOf(member);
              const records = await Promise.all(sides.map((side) => record(one, side)));
              return (await stateOf(member)) === before && records;
            }),
          ),
        );
    };
    before(async () => {
      const etcd = held.use(await startEtcd({ install, members: 3, heartbeatMs: 20, electionMs: 200 }));
      member = await follower(etcd);
      others = etcd.members.filter((other) => other !== member);
      const kinds = [direct, grpc, web('grpc-web', '1.1'), web('connect-json', '2')];
      if (LONG) kinds.push(within(grpc));
      sides = await Promise.all(kinds.map((kind) => sideTo(kind, etcd, [member.address])));
      for (const side of sides) held.use(side);
    });
    after(() => held.disposeAsync());
    compareSteadily(whole);
    test('a member goes', async () => {
      await others[0]?.kill();
      // the one that is gone may have led
      await new Script(sides[0] as Side).until('a leader', async () => {
        const { code } = await (sides[0] as Side).behind.call(pathOf(range), [
          rpc(range, at('quorum')).request,
        ]);
        return code === 0;
      });
    });
    // It is refused.
    compareSteadily(withoutOne);
    test('streams that want a leader end with it', { timeout: 120_000 }, async () => {
      // Where the leader stands still for a moment, some end before they are open.
      const { scripts, streams } = await until('streams while there is a leader', async () => {
        const scripts = sides.map((side) => new Script(side));
        const opened = await Promise.allSettled(scripts.map(openStreams));
        const streams = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
        return streams.length === scripts.length && { scripts, streams };
      });
      await others[1]?.kill();
      await Promise.all(
        streams.map(async ({ watching, beating }) => {
          await watching.untilEnd();
          await beating.untilEnd();
        }),
      );
      assertSame(scripts.map((script) => ({ side: script.side, record: script.record, failure: undefined })));
    });
    compare(withoutLeader);
  });
}
