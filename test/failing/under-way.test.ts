/**
 * What is under way on a connection that is left stays there and ends there; and clients without deadlines, which would
 * wait for ever, do not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { SnapshotResponseSchema } from '#gen/etcdserverpb/maintenance_pb.js';
import type { EtcdInstall } from '../support/etcd.ts';
import { statusOf } from '../support/members.ts';
import type { RawGrpcClient } from '../support/raw-grpc.ts';
import { newestEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { Admin } from './admin.ts';
import { openClient } from './clients.ts';
import { proxyOn } from './contestants.ts';
import { get, put, servedBy, untilServed } from './proxy-state.ts';
import { Stage } from './stage.ts';

/** What is over sooner than this is no reason to move. */
const MOVE_MS = 3_000;
/** Reads without deadlines are answered elsewhere after so long; 3 s is the aim. */
const READS_MS = 6_000;
/** A pause of the machine makes them late; a proxy that takes too long does so each time. */
const TRIES = 3;
/** What a member logs; 3.4 says no more than this. */
const FINISHED = /finished defragment/;

/** Makes calls until another member than the one that fails answers them. */
async function untilMoved(stage: Stage, client: RawGrpcClient): Promise<void> {
  await until('another member serves', async () => {
    const used = await servedBy(stage, client);
    return used >= 0 && used !== stage.victim;
  });
}

for (const install of await newestEtcds()) {
  test(`a snapshot goes on where it was (etcd ${install.version})`, async () => {
    await using stage = await Stage.open({ use: 'follower', etcd: { install } });
    await new Admin(stage.witness.address).fill(24);
    await using proxy = await proxyOn(stage);
    using client = openClient(proxy.address);
    using calls = openClient(proxy.address);
    const snapshot = client.open('/etcdserverpb.Maintenance/Snapshot');
    snapshot.send(new Uint8Array());
    snapshot.halfClose();
    assert.ok(await snapshot.next());
    snapshot.pause();
    const { id } = await statusOf(stage.cluster.member(stage.victim));
    stage.cluster.links?.cut(stage.victim, id);
    await untilMoved(stage, calls);
    snapshot.resume();
    let remaining = -1n;
    for (let message = await snapshot.next(); message !== undefined; message = await snapshot.next())
      remaining = fromBinary(SnapshotResponseSchema, message).remainingBytes;
    assert.deepEqual([(await snapshot.end).code, remaining], [0, 0n]);
  });

  test(`defragmenting through the proxy is done once, and answered (etcd ${install.version})`, async () => {
    await using stage = await Stage.open({ use: 'follower', etcd: { install } });
    await new Admin(stage.witness.address).fill(320);
    await using proxy = await proxyOn(stage);
    using client = openClient(proxy.address);
    await untilServed(client);
    const size = async (): Promise<bigint> => (await statusOf(stage.cluster.member(stage.victim))).dbSize;
    const before = await size();
    const path = '/etcdserverpb.Maintenance/Defragment';
    const since = performance.now();
    const over = client
      .call(path, [new Uint8Array()], { limitMs: 120_000 })
      .then((outcome) => ({ ...outcome, ms: performance.now() - since }));
    const served = await untilServed(client);
    const { code, message, ms } = await over;
    assert.deepEqual([code, message], [0, '']);
    assert.ok((await size()) <= before);
    assert.ok(
      served < Math.max(ms, MOVE_MS),
      `others were served after ${served} ms, when it was over (${ms} ms)`,
    );
    for (const member of stage.others) assert.doesNotMatch(member.log, FINISHED, 'nobody else defragmented');
    assert.match(stage.cluster.member(stage.victim).log, FINISHED);
  });

  test(`a member hangs: reads without deadlines are answered elsewhere, writes end where they are (etcd ${install.version})`, async () => {
    let took = Number.POSITIVE_INFINITY;
    for (let tries = 1; took > READS_MS && tries <= TRIES; tries++) took = await readBesideHung(install);
    assert.ok(took <= READS_MS, `reads without deadlines waited ${took} ms`);
  });
}

/** Reads and writes while the member in use hangs. @returns how long the reads took, in milliseconds */
async function readBesideHung(install: EtcdInstall): Promise<number> {
  await using stage = await Stage.open({ use: 'follower', etcd: { install } });
  await using proxy = await proxyOn(stage);
  using client = openClient(proxy.address);
  await untilServed(client);
  const member = stage.cluster.member(stage.victim);
  member.pause();
  const since = performance.now();
  const write = put(client, 'once/write');
  const reads = await Promise.all(Array.from({ length: 5 }, (_, i) => get(client, `key-${i}`)));
  const took = performance.now() - since;
  for (const { code, message } of reads) assert.deepEqual([code, message], [0, '']);
  await untilServed(client);
  member.resume();
  const { code, message } = await write;
  assert.deepEqual([code, message], [0, '']);
  const stored = await new Admin(stage.witness.address).stored('once/');
  assert.equal(stored.get('once/write')?.version, 1n);
  return took;
}
