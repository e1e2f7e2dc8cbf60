/** Heartbeats of many clients on one stream to etcd: counted by etcd, and each answered as etcd answers it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { LeaseKeepAliveResponseSchema } from '#gen/etcdserverpb/lease_pb.js';
import { startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric, streamsInProgress } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { BeatCall, beat, grant, grantMany, revoke, timeToLive } from './beats.ts';

const CLIENTS = 100;

for (const install of await outerEtcds())
  test(`etcd ${install.version}: ${CLIENTS} clients are one stream, and each is answered`, async () => {
    await using etcd = await startEtcd({ install });
    await using proxy = await startProxy({ endpoints: [etcd.first.address] });
    using client = new RawGrpcClient(proxy.address);
    const open = () => streamsInProgress(etcd.first.metricsUrl, 'LeaseKeepAlive');
    const ids = await grantMany(client, 60, CLIENTS);
    const calls = ids.map(() => new BeatCall(client));
    for (let round = 0; round < 3; round++) {
      const ttls = await Promise.all(calls.map((call, i) => call.beat(ids[i] as bigint)));
      assert.deepEqual(new Set(ttls), new Set([60]));
      assert.equal(await open(), 1);
    }
    assert.equal(await metric(proxy.url, 'etcd_proxy_lease_client_streams'), CLIENTS);
    assert.equal(await metric(proxy.url, 'etcd_proxy_lease_streams'), 1);
    assert.equal(await metric(proxy.url, 'etcd_proxy_lease_heartbeats_total'), 3 * CLIENTS);
    for (const call of calls) call.close();
    await until('streams of clients are over', async () => {
      return (await metric(proxy.url, 'etcd_proxy_lease_client_streams')) === 0;
    });
    // The stream stays for a while, then it ends as a client's that has said all.
    await until('the stream to etcd is over', async () => (await open()) === 0);
    const ok =
      'grpc_server_handled_total{grpc_code="OK",grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}';
    assert.equal(await etcdMetric(etcd.first.metricsUrl, ok), 1);
  });

test('no heartbeat is sent that no client has sent, and each that one has sent is, unless it joins another', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const id = await grant(client, 60);
  const received = () =>
    etcdMetric(
      etcd.first.metricsUrl,
      'grpc_server_msg_received_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}',
    );
  const calls = Array.from({ length: 20 }, () => new BeatCall(client));
  // An etcd that is held still answers none, so what cannot be sent without an answer waits together.
  etcd.first.pause();
  for (const call of calls) for (let i = 0; i < 10; i++) call.send(id);
  const joinedSoFar = () => metric(proxy.url, 'etcd_proxy_lease_heartbeats_joined_total');
  await until('of so many for one lease some wait together', async () => (await joinedSoFar()) > 0);
  etcd.first.resume();
  for (const call of calls)
    for (let i = 0; i < 10; i++) assert.deepEqual([(await call.must()).TTL], [60n], `answer ${i}`);
  assert.equal((await received()) + (await joinedSoFar()), 200);
  for (const call of calls) call.close();
});

test('a lease that is gone has no time, and its stream stays; one that is granted again lives', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const call = new BeatCall(client);
  const ids = [4711n, 2n ** 63n - 1n, -5n];
  for (const id of ids) {
    assert.equal(await call.beat(id), 0);
    await grant(client, 60, id);
    assert.equal(await call.beat(id), 60);
    await revoke(client, id);
    assert.equal(await call.beat(id), 0);
    await grant(client, 30, id);
    assert.equal(await call.beat(id), 30);
    assert.ok((await timeToLive(client, id)) > 0);
  }
  assert.equal(await call.beat(0n), 0);
  call.close();
});

test('answers come in the order of the heartbeats, also where some join others', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const ids = await grantMany(client, 60, 10);
  const calls = Array.from({ length: 10 }, () => new BeatCall(client));
  const orders = calls.map((_, at) => [...ids.slice(at), ...ids.slice(0, at), ...ids.toReversed()]);
  for (const [at, call] of calls.entries())
    call.send(...(orders[at] as bigint[]), ...(orders[at] as bigint[]));
  for (const [at, call] of calls.entries()) {
    const got: bigint[] = [];
    for (let i = 0; i < 40; i++) got.push((await call.must()).ID);
    assert.deepEqual(got, [...(orders[at] as bigint[]), ...(orders[at] as bigint[])]);
    call.close();
  }
});

test('a half-closed stream answers what it was asked and ends', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const id = await grant(client, 60);
  const call = new BeatCall(client);
  call.send(id, 404n, id);
  call.call.halfClose();
  for (const ttl of [60n, 0n, 60n]) assert.equal((await call.must()).TTL, ttl);
  assert.equal(await call.next(), undefined);
  assert.deepEqual(await call.outcome(), [0, '']);
  const silent = new BeatCall(client);
  silent.call.halfClose();
  assert.deepEqual(await silent.outcome(), [0, '']);
});

test('heartbeats of the browser API share the stream', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const ids = await grantMany(client, 60, 20);
  const call = new BeatCall(client);
  assert.equal(await call.beat(ids[0] as bigint), 60);
  for (let round = 0; round < 2; round++) {
    const answers = ids.map((id) => client.call('/etcdconnect.v1.Browser/LeaseKeepAliveOnce', [beat(id)]));
    for (const [i, answer] of answers.entries()) {
      const { code, messages } = await answer;
      assert.deepEqual([code, messages.length], [0, 1]);
      const { ID, TTL } = fromBinary(LeaseKeepAliveResponseSchema, messages[0] as Uint8Array);
      assert.deepEqual([ID, TTL], [ids[i], 60n]);
    }
  }
  assert.equal(await metric(proxy.url, 'etcd_proxy_lease_heartbeats_total'), 41);
  const started =
    'grpc_server_started_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}';
  assert.equal(await etcdMetric(etcd.first.metricsUrl, started), 1);
  call.close();
});
