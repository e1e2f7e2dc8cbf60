/** The parts of leases by themselves: leases as bytes, when answers are late, and what a carrier does with a scripted etcd. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { LeaseKeepAliveRequestSchema } from '#gen/etcdserverpb/lease_pb.js';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { keepAliveRequest, LeaseReader } from '../../src/etcd/lease-keep-alive.ts';
import { MAX_CARRIERS, MOST_ABANDONED } from '../../src/lease/carriers.ts';
import { Heartbeat } from '../../src/lease/heartbeat.ts';
import { Promptness } from '../../src/lease/promptness.ts';
import { Refused } from '../../src/lease/refused.ts';
import { TICK_MS } from '../../src/lease/ticker.ts';
import { ITSELF } from '../../src/rpc/client.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { Code, OK, RpcError } from '../../src/rpc/status.ts';
import { Hearer, MEMBER, replyTo, scene } from './scripted.ts';

const requestOf = (ID: bigint) =>
  toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID }));

const leases = fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(-200n, 200n));

describe('a lease as bytes', () => {
  test('is read and written as the library does', () => {
    fc.assert(
      fc.property(leases, (id) => {
        const reader = new LeaseReader();
        assert.ok(reader.readRequest(requestOf(id)));
        const value = (BigInt(reader.high) << 32n) | BigInt(reader.low >>> 0);
        assert.equal(value, id);
        const written = keepAliveRequest(reader);
        assert.deepEqual(Buffer.from(written), Buffer.from(id === 0n ? [0x08, 0] : requestOf(id)));
      }),
    );
  });

  test('is told from every other in replies', () => {
    fc.assert(
      fc.property(leases, leases, (id, other) => {
        const reader = new LeaseReader();
        reader.readRequest(requestOf(id));
        const { low, high } = reader;
        assert.ok(new LeaseReader().isReplyTo(replyTo(id, 0n), { low, high }));
        if (other !== id) assert.ok(!new LeaseReader().isReplyTo(replyTo(other), { low, high }));
      }),
    );
  });

  test('and nothing else is what is shared', () => {
    const reader = new LeaseReader();
    for (const bytes of [
      [0x08],
      [0x08, 0x80],
      [0x08, 1, 0],
      [0x08, 1, 0x08, 2],
      [0x10, 1],
      [0x09, 1, 2, 3, 4, 5, 6, 7, 8],
      [0x08, ...Array(9).fill(0x80), 2],
      [0x08, ...Array(10).fill(0x80), 0],
    ])
      assert.ok(!reader.readRequest(Uint8Array.from(bytes)), bytes.join(' '));
    assert.ok(reader.readRequest(new Uint8Array(0)), 'a lease of number 0 is no bytes');
    assert.ok(reader.readRequest(Uint8Array.of(0x08, 0x81, 0x00)), 'a long way to write 1');
    assert.deepEqual([reader.low, reader.high], [1, 0]);
  });
});

test('leases are spread over all streams, whatever distance their numbers have', () => {
  const owner = new Hearer();
  for (const count of [2, 4, 32])
    for (const step of [1, 2, 3, 32, 1024])
      for (const [low, high] of [
        [0x2a5d, 0x6b3f9112],
        [-77, 3],
      ] as const) {
        const leases = Array.from({ length: 5000 }, (_, i) => ({ low: (low + i * step) | 0, high }));
        const places = Array<number>(count).fill(0);
        for (const lease of leases) {
          const at = new Heartbeat(lease, owner).placeAmong(count);
          places[at] = (places[at] as number) + 1;
        }
        const [least, most] = [Math.min(...places), Math.max(...places)];
        assert.ok(least > 0.5 * (5000 / count) && most < 1.5 * (5000 / count), `${count} ${step}: ${places}`);
      }
});

describe('answers are late', () => {
  const after = (ticks: readonly { done: number; size: number; ms?: number }[]) => {
    const carrier = { done: 0, size: 0 };
    const promptness = new Promptness(carrier);
    return ticks.map(({ done, size, ms = TICK_MS }) => {
      carrier.done += done;
      carrier.size = size;
      return promptness.onTick(ms);
    });
  };
  const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

  test('where few come and others wait, tick after tick', () => {
    assert.equal(after(times(6, { done: 4, size: 50 })).indexOf(true), 3);
  });

  test('as well where the ticks of a busy machine are longer', () => {
    assert.equal(after(times(6, { done: 30, size: 50, ms: 60 })).indexOf(true), 3);
    assert.ok(!after(times(6, { done: 30, size: 50, ms: TICK_MS })).includes(true));
  });

  test('not where nothing waits longer than a tick', () => {
    assert.ok(!after(times(50, { done: 20, size: 20 })).includes(true));
  });

  test('not where nothing comes at all: that is no matter of streams', () => {
    assert.ok(!after(times(500, { done: 0, size: 50 })).includes(true));
  });

  test('not after one pause', () => {
    const steady = times(5, { done: 3, size: 1 });
    assert.ok(
      !after([
        ...steady,
        { done: 0, size: 4 },
        { done: 1, size: 9 },
        { done: 12, size: 1 },
        ...steady,
      ]).includes(true),
    );
  });

  test('where many come fast, only once there is no end of it', () => {
    const burst = times(8, { done: 5 * TICK_MS, size: 1000 });
    assert.ok(!after([...burst, { done: 1000, size: 0 }]).includes(true));
    assert.ok(after(times(30, { done: 5 * TICK_MS, size: 1000 })).includes(true));
  });
});

describe('a carrier', () => {
  test('has few heartbeats at etcd, and what waits is one for each lease', () => {
    const { etcd, all, hearer, send } = scene();
    for (let i = 0; i < 64; i++) send(i);
    for (let round = 0; round < 10; round++) for (let i = 0; i < 10; i++) send(i);
    const [stream] = etcd.streams;
    assert.equal(stream?.sent.length, 64);
    assert.equal(all.stats.joined, 90);
    stream?.answer(64);
    assert.equal(hearer.replies, 64);
    assert.equal(stream?.sent.length, 74, 'none joined one that was sent');
    stream?.answer(10);
    assert.equal(hearer.replies, 164);
    all.close();
  });

  test('sends nothing for whom is gone', () => {
    const { etcd, all, hearer, send } = scene();
    for (let i = 0; i < 64; i++) send(i);
    send(1000).owner = undefined;
    const shared = send(1001);
    send(1001);
    shared.owner = undefined;
    send(1002);
    etcd.streams[0]?.answer(64);
    assert.equal(etcd.streams[0]?.sent.length, 66);
    etcd.streams[0]?.answer(2);
    assert.equal(hearer.replies, 66);
    all.close();
  });

  test('keeps few of those that share an answer for whom is gone', () => {
    const { etcd, all, carriers, hearer, send } = scene();
    for (let i = 0; i < 64; i++) send(i);
    const first = send(1000);
    let most = 0;
    for (let round = 0; round < 200; round++) {
      const gone = Array.from({ length: 100 }, () => send(1000));
      if (round % 50 === 0) send(1000);
      for (const each of gone) each.owner = undefined;
      carriers.abandon(gone.length);
      let length = 0;
      for (let each = first.joined; each !== undefined; each = each.joined) length++;
      most = Math.max(most, length);
    }
    assert.ok(most <= MOST_ABANDONED + 100 + 4, `${most}`);
    send(1000);
    etcd.streams[0]?.answer(65);
    assert.equal(hearer.replies, 64 + 1 + 4 + 1);
    all.close();
  });

  test('goes on elsewhere with what waits when nobody wants what was sent', async () => {
    const { etcd, all, hearer, send } = scene();
    const sent = Array.from({ length: 64 }, (_, i) => send(i));
    send(1000);
    for (const each of sent) each.owner = undefined;
    const [stream] = etcd.streams;
    stream?.begin();
    await Promise.resolve();
    assert.equal(stream?.sent.length, 1, 'no answer will come that would send it');
    send(1001);
    stream?.answer(2);
    assert.deepEqual([hearer.replies, etcd.streams.length], [2, 1]);
    all.close();
  });

  test('that is to end sends nothing elsewhere for whom is gone, and ends if that was all', async () => {
    const { etcd, all, carriers, hearer, send } = scene();
    const [first, second] = [send(0), send(1)];
    first.owner = undefined;
    carriers.retire();
    const [stream] = etcd.streams;
    stream?.begin();
    await Promise.resolve();
    assert.deepEqual([stream?.sent.length, stream?.halfClosed], [1, false]);
    second.owner = undefined;
    stream?.begin();
    await Promise.resolve();
    assert.deepEqual([stream?.sent.length, stream?.halfClosed], [0, true]);
    assert.deepEqual([hearer.replies, all.stats.streams], [0, 0]);
    all.close();
  });

  test('that was closed while it moved opens nothing any more', async () => {
    const { etcd, all, send } = scene();
    const sent = Array.from({ length: 64 }, (_, i) => send(i));
    send(1000);
    for (const each of sent) each.owner = undefined;
    etcd.streams[0]?.begin();
    all.close();
    await Promise.resolve();
    assert.deepEqual([etcd.streams.length, all.stats.streams], [1, 0]);
  });

  test('that lost its stream to a refusal sends the others again, in their order, before what waits', () => {
    const { etcd, all, carriers, hearer, send } = scene();
    const victim = new Hearer();
    send(0);
    send(1, victim);
    for (let i = 2; i < 70; i++) send(i);
    etcd.streams[0]?.answer(1);
    etcd.streams[0]?.listener.onEnd(
      new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied'),
      NO_METADATA,
    );
    assert.deepEqual([victim.refusals.length, victim.refusals[0]?.own], [1, true]);
    assert.deepEqual([hearer.refusals.length, hearer.replies], [0, 1]);
    assert.equal(etcd.streams.length, 2);
    etcd.streams[1]?.answer(68);
    assert.equal(hearer.replies, 69);
    const order = etcd.streams[1]?.sent.map((each) => each[1]);
    assert.deepEqual(
      order,
      Array.from({ length: 68 }, (_, i) => i + 2),
    );
    assert.ok(carriers.refused?.hasLease({ low: 1, high: 0 }));
    assert.ok(!carriers.refused?.hasLease({ low: 2, high: 0 }));
    assert.equal(all.stats.resent, 63);
    all.close();
  });

  for (const [code, text] of [
    [Code.UNAVAILABLE, 'gone'],
    [Code.DEADLINE_EXCEEDED, 'too late'],
    [Code.UNKNOWN, 'etcdserver: request timed out'],
    [Code.UNKNOWN, 'not a primary lessor'],
    [Code.INVALID_ARGUMENT, 'etcdserver: user name is empty'],
    [Code.UNAUTHENTICATED, 'etcdserver: invalid auth token'],
    // Of something on the way to etcd.
    [Code.PERMISSION_DENIED, 'unexpected HTTP status code received from server: 403'],
    [Code.PERMISSION_DENIED, 'RBAC: access denied'],
  ] as const)
    test(`tells all of what would meet them as well, at once, also those that wait: ${text}`, () => {
      const { etcd, all, hearer, send } = scene();
      for (let i = 0; i < 5000; i++) send(i % 4000);
      etcd.streams[0]?.listener.onEnd(new RpcError(code, text), NO_METADATA);
      assert.equal(hearer.refusals.length, 5000);
      assert.ok(hearer.refusals.every(({ own }) => !own));
      assert.equal(etcd.streams.length, 1);
      send(1);
      send(2);
      etcd.streams[1]?.answer(2);
      assert.equal(hearer.replies, 2, 'what comes later is tried again');
      all.close();
    });

  for (const status of [OK, new RpcError(Code.INTERNAL, 'something of a release to come')])
    test(`goes on with what waits where it may fare better: ${status.message || 'OK'}`, () => {
      const { etcd, all, hearer, send } = scene();
      for (let i = 0; i < 70; i++) send(i);
      etcd.streams[0]?.listener.onEnd(status, NO_METADATA);
      assert.equal(hearer.refusals.length, 64);
      etcd.streams[1]?.answer(6);
      assert.equal(hearer.replies, 6);
      all.close();
    });

  for (const [code, text] of [
    [Code.INVALID_ARGUMENT, 'etcdserver: user name is empty'],
    [Code.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old'],
    [Code.UNAUTHENTICATED, 'etcdserver: invalid auth token'],
    [Code.FAILED_PRECONDITION, 'etcdserver: user name not found'],
    [Code.UNKNOWN, 'not a primary lessor'],
    [Code.UNKNOWN, 'something of a release to come'],
    [Code.PERMISSION_DENIED, 'RBAC: access denied'],
  ] as const)
    test(`blames no heartbeat for what is about its user or the member: ${text}`, () => {
      const { etcd, all, carriers, hearer, send } = scene();
      for (let i = 0; i < 64; i++) send(i);
      etcd.streams[0]?.listener.onEnd(new RpcError(code, text), NO_METADATA);
      assert.equal(hearer.refusals.length, 64);
      assert.ok(hearer.refusals.every(({ own, status }) => !own && status.message === text));
      assert.deepEqual([etcd.streams.length, all.stats.refused, all.stats.resent], [1, 0, 0]);
      assert.equal(carriers.refused, undefined, 'lease and connection may share again');
      all.close();
    });

  test('gives what it carries back when the answers are not for it', () => {
    const { etcd, all, carriers, hearer, send } = scene();
    for (let i = 0; i < 70; i++) send(i);
    etcd.streams[0]?.listener.onMessage(replyTo(1n));
    assert.deepEqual([hearer.replies, hearer.strange], [0, 70]);
    assert.ok(carriers.isStrange && etcd.streams[0]?.cancelled);
    all.close();
  });
});

describe('carriers', () => {
  test('of which one met answers that were not for it carry on with what others place there', () => {
    const { etcd, all, hearer, send } = scene();
    send(1);
    etcd.streams[0]?.listener.onMessage(replyTo(2n));
    send(3);
    etcd.streams[1]?.answer(1);
    assert.deepEqual([hearer.strange, hearer.replies, all.stats.streams], [1, 1, 1]);
    all.close();
    assert.equal(all.stats.streams, 0);
  });

  test('that no client uses end, with what is left of clients that are gone', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { etcd, all, carriers, send } = scene();
    for (let i = 0; i < 70; i++) send(i).owner = undefined;
    carriers.leave(MEMBER);
    t.mock.timers.tick(6000);
    assert.equal(etcd.streams[0]?.halfClosed, false, 'it has not been answered');
    etcd.streams[0]?.answer(64);
    assert.equal(etcd.streams[0]?.halfClosed, true);
    assert.deepEqual([etcd.streams.length, all.stats.streams], [1, 0]);
    assert.notEqual(all.of(clientIdentityOf(NO_METADATA)), carriers);
    all.close();
  });

  /** One that is as slow as a follower far from the leader. */
  function ticks(count: number, { etcd, carriers }: ReturnType<typeof scene>): void {
    for (let i = 0; i < count; i++) {
      for (const stream of etcd.streams) if (stream.answered < stream.sent.length) stream.answer(1);
      carriers.onTick(TICK_MS);
    }
  }

  test('become more while answers are late, at most so many, and no heartbeat is lost or answered twice', () => {
    const place = scene();
    const { etcd, all, hearer, send } = place;
    for (let i = 0; i < 3000; i++) send(i);
    ticks(40, place);
    assert.equal(etcd.streams.length, MAX_CARRIERS);
    assert.ok(all.stats.limits.streams > 0);
    ticks(3000, place);
    assert.equal(hearer.replies, 3000);
    const ids = etcd.streams.flatMap(({ sent }) => sent.map((each) => each.toString('hex')));
    assert.equal(new Set(ids).size, ids.length);
    all.close();
  });

  test('become fewer when answers have been prompt for long, and those that go end in order', (t) => {
    const place = scene();
    const { etcd, all, hearer, send, carriers } = place;
    for (let i = 0; i < 3000; i++) send(i);
    ticks(40, place);
    let now = performance.now();
    t.mock.method(performance, 'now', () => now);
    ticks(3000, place);
    const open = () => etcd.streams.filter(({ halfClosed }) => !halfClosed).length;
    assert.equal(open(), MAX_CARRIERS);
    for (let half = MAX_CARRIERS / 2; half >= 1; half /= 2) {
      now += 61_000;
      carriers.onTick(TICK_MS);
      assert.equal(open(), half);
    }
    now += 61_000;
    carriers.onTick(TICK_MS);
    assert.equal(open(), 1);
    const before = hearer.replies;
    send(1);
    for (const stream of etcd.streams) if (stream.answered < stream.sent.length) stream.answer(1);
    assert.equal(hearer.replies, before + 1);
    all.close();
  });
});

test('what was refused is remembered within bounds', () => {
  let full = 0;
  const refused = new Refused(() => full++);
  const client = { ...ITSELF };
  for (let i = 0; i < 200; i++) refused.add('a', { low: i, high: 1 });
  const ones = refused.of('a');
  ones?.addClient(client);
  ones?.addClient(ITSELF);
  assert.ok(ones?.hasLease({ low: 0, high: 1 }) && ones.hasClient(client) && !ones.hasClient(ITSELF));
  assert.equal(full, 0);
  refused.add('a', { low: 200, high: 1 });
  assert.ok(!ones?.hasLease({ low: 0, high: 1 }) && ones?.hasLease({ low: 200, high: 1 }));
  assert.equal(full, 1);
  for (let i = 0; i < 5000; i++) refused.add(`id${i}`, { low: i, high: 1 });
  assert.ok(full > 1);
  assert.equal(refused.of('a'), undefined);
});
