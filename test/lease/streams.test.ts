/** Streams of clients by themselves, with a scripted etcd: who shares, who is read, and what is left when they are over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOKENLESS } from '../../src/clients/identity.ts';
import { Lease } from '../../src/etcd/methods.ts';
import { MOST_ABANDONED } from '../../src/lease/carriers.ts';
import { Leases } from '../../src/lease/leases.ts';
import { leaseService } from '../../src/lease/service.ts';
import { MAX_OF_CONNECTION } from '../../src/lease/share.ts';
import { type Client, ITSELF } from '../../src/rpc/client.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { countMade } from '../support/count-made.ts';
import { Caller } from './caller.ts';
import { ScriptedEtcd } from './scripted.ts';

function scene() {
  const etcd = new ScriptedEtcd();
  const leases = new Leases(etcd);
  const serve = leaseService(leases, etcd, { add: () => {}, remove: () => {} });
  const open = (client: Client, metadata: Metadata = NO_METADATA): Caller => {
    const caller = new Caller();
    serve(caller, new OwnCall(Lease.LeaseKeepAlive, metadata, Number.POSITIVE_INFINITY, client));
    return caller;
  };
  const { stats } = leases;
  return { etcd, leases, stats, open };
}

const connection = (): Client => ({ ...ITSELF });

/** How long streams stay that no client uses, and more. */
const LINGERED = 6000;

test('of an identity that was refused nothing stays when its clients are gone, however often they come', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { etcd, leases, stats, open } = scene();
  const refused = connection();
  const metadata = new Metadata(['token', 'ann.1']);
  const caller = open(refused, metadata);
  caller.beat(1n);
  etcd.streams[0]?.listener.onEnd(
    new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied'),
    NO_METADATA,
  );
  assert.equal(caller.status?.code, Code.PERMISSION_DENIED);
  t.mock.timers.tick(LINGERED);
  assert.equal(leases.size, 0);
  open(refused, metadata);
  assert.equal(stats.apart.refused, 1);
  t.mock.timers.tick(LINGERED);
  assert.equal(leases.size, 0);
  leases.close();
});

test('one connection with hundreds of streams keeps the heartbeat of another one waiting behind few', () => {
  const { etcd, leases, stats, open } = scene();
  const greedy = connection();
  const callers = Array.from({ length: 400 }, () => open(greedy));
  // As they come in one frame, that is after the pause as well.
  for (const [i, caller] of callers.entries())
    for (let n = 0; n < 300; n++) caller.beat(BigInt(i * 300 + n + 1));
  const polite = open(connection());
  polite.beat(1_000_000n);
  const [stream] = etcd.streams;
  let before = 0;
  for (; polite.replies === 0 && before < 2000; before++) stream?.answer(1);
  assert.ok(before <= MAX_OF_CONNECTION + 1, `answered after ${before}`);
  assert.equal(stats.limits.connection, 1);
  // Its streams take turns, and nothing is lost.
  const [first, last] = [callers[0] as Caller, callers.at(-1) as Caller];
  stream?.answer(MAX_OF_CONNECTION + 1000);
  assert.ok(first.replies < 300 && last.replies > 0, `${first.replies} and ${last.replies} answers`);
  while ((stream?.answered ?? 0) < (stream?.sent.length ?? 0)) stream?.answer(1);
  assert.deepEqual(new Set(callers.map(({ replies }) => replies)), new Set([300]));
  assert.deepEqual(new Set(callers.map(({ held }) => held)), new Set([0]));
  leases.close();
});

test('what a connection may have on its way is free again when its streams are gone, whatever became of them', () => {
  const { etcd, leases, stats, open } = scene();
  const greedy = connection();
  for (let round = 0; round < 5; round++) {
    const callers = Array.from({ length: 3 }, () => open(greedy));
    for (const caller of callers) for (let n = 1; n <= 200; n++) caller.beat(BigInt(n));
    assert.equal(stats.limits.connection, round + 1);
    for (const caller of callers) caller.listener.onCancel();
    assert.deepEqual(
      callers.map(({ held }) => held),
      [0, 0, 0],
    );
  }
  // Of what was left there etcd answers what it has.
  const caller = open(greedy);
  for (let n = 1; n <= MAX_OF_CONNECTION; n++) caller.beat(BigInt(n));
  assert.equal(stats.limits.connection, 5, 'all places are free');
  const [stream] = etcd.streams;
  stream?.answer(64 + MAX_OF_CONNECTION);
  assert.equal(caller.replies, MAX_OF_CONNECTION);
  leases.close();
});

test('what clients leave behind does not pile up while etcd answers nothing, and nobody else waits for it', () => {
  const { etcd, leases, open } = scene();
  const [early, late] = [open(connection()), open(connection())];
  for (let n = 1; n <= 100; n++) early.beat(BigInt(n));
  const carriers = leases.of(TOKENLESS);
  for (let round = 1; round <= 500; round++) {
    const gone = open(connection());
    for (let n = 0; n < 200; n++) gone.beat(BigInt(1000 * round + n));
    if (round === 300) late.beat(1n, 101n, 300_001n);
    gone.listener.onCancel();
    assert.ok(carriers.size < 200 + 2 * MOST_ABANDONED, `${carriers.size} after ${round} clients`);
  }
  const [stream] = etcd.streams;
  stream?.answer(64);
  assert.equal(carriers.size, 100 + 3 - 64);
  stream?.answer(39);
  assert.deepEqual([early.replies, late.replies, stream?.sent.length], [100, 3, 103]);
  leases.close();
});

test('a client with a stream and few heartbeats costs no table of its own', (t) => {
  const { etcd, leases, open } = scene();
  open(connection()).beat(1n);
  const [sets, maps] = [countMade(t, 'Set'), countMade(t, 'Map')];
  const caller = open(connection());
  caller.beat(2n, 3n);
  etcd.streams[0]?.answer(3);
  caller.listener.onCancel();
  assert.deepEqual([caller.replies, sets.made, maps.made], [2, 0, 0]);
  leases.close();
});

test('what waits for others of its connection is looked at again: its lease may have been refused meanwhile', () => {
  const { etcd, leases, stats, open } = scene();
  const greedy = connection();
  const callers = Array.from({ length: 300 }, () => open(greedy));
  for (const caller of callers) caller.beat(1n);
  assert.equal(etcd.streams.length, 1);
  etcd.streams[0]?.listener.onEnd(
    new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied'),
    NO_METADATA,
  );
  for (const stream of [...etcd.streams])
    if (stream.answered < stream.sent.length) stream.answer(stream.sent.length - stream.answered);
  assert.equal(callers.filter(({ replies }) => replies === 0).length, 1);
  assert.equal(stats.apart.refused, 300 - MAX_OF_CONNECTION);
  leases.close();
});

test('a lease that many beat at once, and that is refused, ends the stream of the others twice and not for each', () => {
  const { etcd, leases, stats, open } = scene();
  const good = open(connection());
  const bad = Array.from({ length: 60 }, () => open(connection()));
  for (const caller of bad) caller.beat(1n);
  good.beat(2n);
  assert.equal(etcd.streams[0]?.sent.length, 61, 'none has joined another one');
  const denied = new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');
  etcd.streams[0]?.listener.onEnd(denied, NO_METADATA);
  assert.deepEqual([etcd.streams[1]?.sent.length, stats.joined, stats.resent], [2, 58, 2]);
  assert.equal(bad.filter(({ status }) => status === denied).length, 1);
  etcd.streams[1]?.listener.onEnd(denied, NO_METADATA);
  assert.equal(
    bad.filter(({ status }) => status === denied).length,
    60,
    'each hears what etcd has said to it',
  );
  etcd.streams[2]?.answer(1);
  assert.deepEqual([good.replies, stats.refused, etcd.streams.length], [1, 2, 3]);
  leases.close();
});

test('an outage is told to what waits for others of its connection as well', () => {
  const { etcd, leases, open } = scene();
  const [greedy, other] = [connection(), connection()];
  const callers = Array.from({ length: 2000 }, () => open(greedy));
  const stranger = open(other, new Metadata(['token', 'ann.1']));
  stranger.beat(1n);
  for (const [i, caller] of callers.entries()) caller.beat(BigInt(i));
  etcd.streams[1]?.listener.onEnd(new RpcError(Code.UNAVAILABLE, 'gone'), NO_METADATA);
  assert.equal(callers.filter(({ status }) => status?.code === Code.UNAVAILABLE).length, 2000);
  assert.deepEqual([etcd.streams.length, stranger.status], [2, undefined]);
  const caller = open(greedy);
  caller.beat(1n);
  etcd.streams[2]?.answer(1);
  assert.equal(caller.replies, 1);
  leases.close();
});

test('what comes when a stream is over counts for nothing', () => {
  const { etcd, leases, stats, open } = scene();
  const over = open(connection());
  over.beat(1n);
  over.listener.onCancel();
  over.beat(2n, 3n);
  over.listener.onMessage(Uint8Array.of(0x08));
  assert.deepEqual([stats.heartbeats, stats.clientStreams, over.held, stats.apart.malformed], [1, 0, 0, 0]);
  etcd.streams[0]?.answer(1);
  assert.equal(etcd.streams[0]?.sent.length, 1);
  leases.close();
});

test('what comes behind a heartbeat that was refused is not sent, though an answer before it is still to come', () => {
  const { etcd, leases, open } = scene();
  const caller = open(connection());
  caller.beat(1n);
  leases.of(TOKENLESS).retire();
  caller.beat(2n);
  etcd.streams[1]?.listener.onEnd(
    new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied'),
    NO_METADATA,
  );
  caller.beat(3n);
  assert.equal(etcd.streams.length, 2, 'etcd would not have read it');
  etcd.streams[0]?.answer(1);
  assert.deepEqual([caller.replies, caller.status?.code, caller.held], [1, Code.PERMISSION_DENIED, 0]);
  leases.close();
});
