/** Leases: granting, asking, revoking, and the stream that keeps them alive. */
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { type Case, calls, script } from '../case.ts';
import { at, b, rpc, under } from '../rpc.ts';

const { leaseGrant, leaseRevoke, leaseTimeToLive, leaseLeases, leaseKeepAlive } = Lease.method;
const { put, range } = KV.method;

const id = 8_001n;
const other = 8_002n;
const negative = -9n;
const beyond = 9_000_000_001n;

export const leaseCases: readonly Case[] = [
  calls(
    'lease: grant with an id, and again',
    rpc(leaseGrant, { ID: id, TTL: 3600n }),
    rpc(leaseGrant, { ID: id, TTL: 5n }),
  ),
  script('lease: grant with an id of etcd', async (script) => {
    const { ID } = await script.ask(leaseGrant, { TTL: 3600n });
    await script.runAll([
      rpc(leaseTimeToLive, { ID }),
      rpc(put, { ...at('lease/own'), lease: ID }),
      rpc(range, at('lease/own')),
      rpc(leaseRevoke, { ID }),
    ]);
  }),
  calls(
    'lease: no time to live',
    rpc(leaseGrant, { ID: 8_003n }),
    rpc(leaseRevoke, { ID: 8_003n }),
    rpc(leaseGrant, { ID: 8_004n, TTL: -1n }),
    rpc(leaseRevoke, { ID: 8_004n }),
  ),
  calls('lease: too long a time to live', rpc(leaseGrant, { ID: 8_005n, TTL: beyond })),
  calls(
    'lease: a negative id',
    rpc(leaseGrant, { ID: negative, TTL: 3600n }),
    rpc(leaseTimeToLive, { ID: negative }),
    rpc(leaseRevoke, { ID: negative }),
  ),
  calls(
    'lease: keys of a lease',
    ...['b', 'a', 'c'].map((name) => rpc(put, { ...at(`lease/${name}`), value: b(name), lease: id })),
    rpc(leaseTimeToLive, { ID: id, keys: true }),
    rpc(leaseTimeToLive, { ID: id }),
  ),
  calls(
    'lease: time to live of one that is not there',
    rpc(leaseTimeToLive, { ID: 404n }),
    rpc(leaseTimeToLive, { ID: 404n, keys: true }),
    rpc(leaseTimeToLive),
  ),
  calls('lease: all leases', rpc(leaseLeases)),
  calls(
    'lease: revoke takes the keys',
    rpc(leaseRevoke, { ID: id }),
    rpc(range, under('lease/')),
    rpc(leaseTimeToLive, { ID: id, keys: true }),
  ),
  calls(
    'lease: revoke one that is not there',
    rpc(leaseRevoke, { ID: id }),
    rpc(leaseRevoke, { ID: 404n }),
    rpc(leaseRevoke),
  ),
];

export const keepAliveCases: readonly Case[] = [
  calls('keep alive: a lease for it', rpc(leaseGrant, { ID: other, TTL: 3600n })),
  script('keep alive: one after the other, then the end', async (script) => {
    const stream = script.stream(leaseKeepAlive);
    for (let beat = 0; beat < 3; beat++) {
      stream.send({ ID: other });
      await stream.take();
    }
    stream.halfClose();
    await stream.untilEnd();
  }),
  script('keep alive: several at once, each is answered', async (script) => {
    const stream = script.stream(leaseKeepAlive);
    for (const ID of [other, other, 404n, other]) stream.send({ ID });
    await stream.take(4);
    stream.halfClose();
    await stream.untilEnd();
  }),
  script('keep alive: a lease that is not there has no time and the stream stays', async (script) => {
    const stream = script.stream(leaseKeepAlive);
    stream.send({ ID: 404n });
    await stream.take();
    stream.send({ ID: other });
    await stream.take();
    stream.send({});
    await stream.take();
    stream.halfClose();
    await stream.untilEnd();
  }),
  script('keep alive: what was asked before the half-close is answered', async (script) => {
    const stream = script.stream(leaseKeepAlive);
    for (const ID of [other, 404n, other]) stream.send({ ID });
    stream.halfClose();
    await stream.untilEnd();
  }),
  script('keep alive: nothing asked', async (script) => {
    const stream = script.stream(leaseKeepAlive);
    stream.halfClose();
    await stream.untilEnd();
  }),
  script('keep alive: revoked elsewhere', async (script) => {
    const stream = script.stream(leaseKeepAlive);
    stream.send({ ID: other });
    await stream.take();
    await script.run(rpc(leaseRevoke, { ID: other }));
    stream.send({ ID: other });
    await stream.take();
    stream.cancel();
  }),
  script('keep alive: bytes that are no message', async (script) => {
    const stream = script.stream(leaseKeepAlive);
    stream.sendRaw(Uint8Array.of(0x08));
    await stream.untilEnd();
  }),
];
