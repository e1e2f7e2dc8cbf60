/** Streams of heartbeats that demand a leader end when there is none, others wait for one; both share a stream to etcd. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { streamsInProgress } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { BeatCall, grant } from './beats.ts';

const DEMANDED = { metadata: { hasleader: 'true' } };
const NO_LEADER = [14, 'etcdserver: no leader'];

for (const install of await outerEtcds())
  test(`etcd ${install.version}: hasleader is honoured`, async () => {
    await using etcd = await startEtcd({ install, members: 3, heartbeatMs: 50, electionMs: 500 });
    await using proxy = await startProxy({ endpoints: [etcd.first.address] });
    using direct = new RawGrpcClient(etcd.first.address);
    using client = new RawGrpcClient(proxy.address);
    const id = await grant(client, 60);
    const patient = new BeatCall(client);
    const demanding = [new BeatCall(client, DEMANDED), new BeatCall(client, DEMANDED)];
    for (const call of [patient, ...demanding]) assert.equal(await call.beat(id), 60);
    const silent = new BeatCall(client, DEMANDED);
    assert.equal(await streamsInProgress(etcd.first.metricsUrl, 'LeaseKeepAlive'), 1);
    const straight = new BeatCall(direct, DEMANDED);
    assert.equal(await straight.beat(id), 60);

    await Promise.all([etcd.member(1).kill(), etcd.member(2).kill()]);
    for (const call of [straight, silent, ...demanding]) {
      assert.equal(await call.next(), undefined);
      assert.deepEqual(await call.outcome(), NO_LEADER);
    }
    for (const way of [direct, client]) {
      const late = new BeatCall(way, DEMANDED);
      late.send(id);
      assert.equal(await late.next(), undefined, 'nothing is answered');
      assert.deepEqual(await late.outcome(), NO_LEADER);
    }

    // Whoever did not demand one waits as long as etcd does, and no longer.
    const withoutLeader = new BeatCall(direct);
    for (const call of [patient, withoutLeader]) call.send(id);
    const ends = [];
    for (const call of [withoutLeader, patient]) {
      assert.equal(await call.next(), undefined);
      ends.push(await call.outcome());
    }
    assert.deepEqual(ends[1], ends[0]);
    await Promise.all([etcd.member(1).start(), etcd.member(2).start()]);
    const again = new BeatCall(client, DEMANDED);
    assert.equal(await again.beat(id), 60);
    again.close();
  });
