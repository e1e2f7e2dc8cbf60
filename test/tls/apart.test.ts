/**
 * Over TLS etcd's server lets large replies starve a watch on the same connection (etcd's issue 15402). So they are not on
 * the same: reads of 10 MB pass through one connection, and what watches and heartbeats are told through another.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { LeaseGrantRequestSchema, LeaseKeepAliveRequestSchema } from '#gen/etcdserverpb/lease_pb.js';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';
import { startSecureEtcd, toEtcd, usual } from './support.ts';

const MB = 1_000_000;
const READERS = 10;
const ROUNDS = 1;

test('ten readers of 10 MB, and a watch and heartbeats of another client', async (t) => {
  const files = await usual();
  await using etcd = await startSecureEtcd(files);
  /** Bytes of etcd by connection. */
  const wires: { bytes: number }[] = [];
  const tap = () => {
    const wire = { bytes: 0 };
    wires.push(wire);
    return {
      fromClient: () => {},
      fromServer: (bytes: Buffer) => {
        wire.bytes += bytes.length;
      },
      closed: () => {},
    };
  };
  await using relay = await Relay.open(etcd.first.address, { tap });
  const flags = [...toEtcd(files), '--read-coalescing=off'];
  await using proxy = await startProxy({ endpoints: [`https://${relay.address}`], flags });
  using client = new RawGrpcClient(proxy.address);
  using other = new RawGrpcClient(proxy.address);
  for (let i = 0; i < 10; i++) await put(other, `large/${i}`, 'x'.repeat(MB));
  const watch = new WatchCall(other);
  await watch.created({ key: b('seen') });
  const grant = create(LeaseGrantRequestSchema, { ID: 7n, TTL: 3600n });
  await other.call('/etcdserverpb.Lease/LeaseGrant', [toBinary(LeaseGrantRequestSchema, grant)]);
  const heartbeats = other.open('/etcdserverpb.Lease/LeaseKeepAlive');
  const beat = toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID: 7n }));
  // A call that replies came after the watch: from now on there are two.
  for (let i = 0; wires.length < 2 && i < 100; i++) await put(other, 'seen', `${i}`);
  for (const wire of wires) wire.bytes = 0;
  for (let i = 0; i < 10; i++) await put(other, 'seen', 'x'.repeat(MB / 10));
  let seen = 0;
  for (const last = await put(other, 'seen', 'last'); seen < last; ) [seen = 0] = await watch.revisions(1);
  const told = wires.find(({ bytes }) => bytes >= MB);
  assert.ok(told, 'events came on one of the connections');
  for (const wire of wires) wire.bytes = 0;

  const range = create(RangeRequestSchema, { key: b('large/'), rangeEnd: b('large0') });
  const read = toBinary(RangeRequestSchema, range);
  const reading = Array.from({ length: READERS }, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const { code, message } = await client.call('/etcdserverpb.KV/Range', [read], { limitMs: 120_000 });
      assert.equal(code, 0, message);
    }
  });
  for (let round = 0; round < 20; round++) {
    heartbeats.send(beat);
    assert.ok(await heartbeats.next());
    const at = await put(other, 'seen', 'v', { timeoutMs: 60_000 });
    while (seen < at) [seen = 0] = await watch.revisions(1);
  }
  await Promise.all(reading);
  const most = Math.max(...wires.map(({ bytes }) => bytes));
  t.diagnostic(`${most} bytes of replies, ${told.bytes} beside them`);
  assert.ok(most >= READERS * ROUNDS * 10 * MB, `${most} bytes of large replies`);
  assert.ok(told.bytes > 0 && told.bytes < MB, `${told.bytes} bytes where events come`);
});
