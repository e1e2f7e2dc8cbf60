/** Clients that are no model of good behaviour: requests that are no heartbeat, floods, nobody who reads, deadlines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEtcd } from '../support/etcd.ts';
import { metric, streamsInProgress } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { type CallOptions, RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { BeatCall, beat, grant, grantMany } from './beats.ts';

/** Everything that a client hears that sends this, and nothing more. */
async function told(way: RawGrpcClient, messages: readonly Uint8Array[], options: CallOptions = {}) {
  const call = new BeatCall(way, options);
  for (const message of messages) call.call.send(message);
  call.call.halfClose();
  const answers: string[] = [];
  for (let answer = await call.next(); answer !== undefined; answer = await call.next())
    answers.push(`${answer.ID} ${answer.TTL}`);
  return [...answers, ...(await call.outcome())];
}

test('what is no heartbeat is etcd’s to answer, with what was asked before it', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  const id = await grant(client, 60);
  const unknownField = Buffer.concat([beat(id), Uint8Array.of(0x7a, 1, 65)]);
  const tooLong = Uint8Array.of(0x08, ...Array<number>(10).fill(0x80), 1);
  const large = Buffer.concat([beat(id), Uint8Array.of(0x7a, 0x80, 0x80, 0x40), Buffer.alloc(1 << 20)]);
  for (const messages of [
    [beat(id), Uint8Array.of(0x08), beat(id)],
    [beat(id), unknownField, beat(id), beat(404n)],
    [beat(id), beat(404n), tooLong],
    [Buffer.concat([beat(404n), beat(id)])],
    [new Uint8Array(0), beat(id)],
    [large, beat(id)],
    [Buffer.from('not a message at all')],
  ])
    assert.deepEqual(await told(client, messages), await told(direct, messages), String(messages[0]?.length));
  assert.equal(await metric(proxy.url, 'etcd_proxy_lease_apart_total{reason="malformed"}'), 6);
  const call = new BeatCall(client);
  assert.equal(await call.beat(id), 60, 'and nobody else is bothered');
  call.close();
});

test('a client that does not read is not read, holds up nobody, and gets all answers once it reads', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using flooding = new RawGrpcClient(proxy.address);
  using client = new RawGrpcClient(proxy.address);
  const ids = await grantMany(client, 600, 50);
  const heartbeats = () => metric(proxy.url, 'etcd_proxy_lease_heartbeats_total');
  const flood = new BeatCall(flooding);
  flood.call.pause();
  const COUNT = 20_000;
  for (let i = 0; i < COUNT; i++) flood.send(ids[i % ids.length] as bigint);
  const polite = new BeatCall(client);
  let taken = 0;
  await until(
    () => `the proxy reads no more: ${taken}`,
    async () => {
      const before = taken;
      for (let i = 0; i < 10; i++) assert.equal(await polite.beat(ids[0] as bigint), 600);
      taken = await heartbeats();
      return taken - before === 10 && taken > 1000;
    },
  );
  assert.ok(taken < COUNT / 2, `${taken} heartbeats were taken of a client that reads nothing`);
  flood.call.resume();
  for (let i = 0; i < COUNT; i++) {
    const { ID, TTL } = await flood.must();
    if (ID !== ids[i % ids.length] || TTL !== 600n) assert.fail(`answer ${i} is ${ID} ${TTL}`);
  }
  flood.call.halfClose();
  assert.deepEqual(await flood.outcome(), [0, '']);
  polite.close();
});

test('what a client leaves behind is gone', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: [etcd.first.address] });
  using client = new RawGrpcClient(proxy.address);
  const ids = await grantMany(client, 600, 50);
  for (let round = 0; round < 20; round++) {
    const call = new BeatCall(client, round % 2 === 0 ? {} : { timeoutMs: 30 });
    for (let i = 0; i < 500; i++) call.send(ids[i % ids.length] as bigint);
    if (round % 2 === 0) {
      await call.must();
      call.close();
      await call.end;
    } else assert.equal((await call.outcome())[0], 4);
  }
  await until('no stream of a client is left', async () => {
    return (await metric(proxy.url, 'etcd_proxy_lease_client_streams')) === 0;
  });
  const call = new BeatCall(client);
  assert.equal(await call.beat(ids[0] as bigint), 600);
  await until('one stream to etcd is left', async () => {
    return (await streamsInProgress(etcd.first.metricsUrl, 'LeaseKeepAlive')) === 1;
  });
  await until('nothing is held', async () => {
    return (await metric(proxy.url, 'etcd_proxy_request_bytes_in_flight')) < 64 << 10;
  });
  call.close();
});
