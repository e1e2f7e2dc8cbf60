/**
 * What shared calls mean for clients of a real etcd: many that ask the same cost little and are all answered
 * right, nothing crosses identities, and every client keeps its own deadline, cancellation and error.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { type RangeRequest, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import { atLeast, type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { metric, rangesHandled } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { collect, RawGrpcClient } from '../support/raw-grpc.ts';
import { Relay } from '../support/relay.ts';
import { until } from '../support/until.ts';
import { bytes, clientOf, lightClientOf, logOf, read, write } from './clients.ts';
import { History } from './history.ts';
import { violations } from './linearizable.ts';

const RANGE = '/etcdserverpb.KV/Range';
const DELAY_MS = 10;

/** The encoded request. */
function range(fields: Partial<RangeRequest>): Uint8Array {
  return toBinary(RangeRequestSchema, create(RangeRequestSchema, fields as RangeRequest));
}

function repeat<T>(times: number, make: (index: number) => T): T[] {
  return Array.from({ length: times }, (_, index) => make(index));
}

/** An etcd with a proxy in front of it, and between them a wire that can be held and cut. */
async function setUp(held: AsyncDisposableStack, delayMs: number) {
  const etcd: EtcdCluster = held.use(await startEtcd({ bcryptCost: 4 }));
  const relay = held.use(await Relay.open(etcd.first.address, { delayMs }));
  const flags = ['--dial-timeout=2s'];
  const proxy: RunningProxy = held.use(await startProxy({ endpoints: [relay.address], flags }));
  return { etcd, relay, proxy };
}

describe('sharing', () => {
  const held = new AsyncDisposableStack();
  let place: Awaited<ReturnType<typeof setUp>>;
  let client: RawGrpcClient;
  let direct: RawGrpcClient;
  before(async () => {
    place = await setUp(held, DELAY_MS);
    client = held.use(new RawGrpcClient(place.proxy.address));
    direct = held.use(new RawGrpcClient(place.etcd.first.address));
    const first = clientOf(place.proxy.address);
    // The connection to etcd may take longer than a call waits for it.
    await until('a put is served', () =>
      first.put({ key: bytes('k'), value: bytes('v') }).catch(() => undefined),
    );
  });
  after(() => held.disposeAsync());

  test('200 clients of one key cost etcd less than one read a round trip', { timeout: 60_000 }, async () => {
    const { etcd, proxy } = place;
    const history = new History();
    const clients = repeat(4, () => lightClientOf(proxy.address, held));
    const writer = lightClientOf(etcd.first.address, held);
    const counted = await rangesHandled(etcd.first.metricsUrl);
    const began = performance.now();
    const loops = repeat(200, async (index) => {
      for (let i = 0; i < 20; i++) {
        await read(clients[index % 4] as (typeof clients)[0], `client ${index}`, ['hot'], history);
        await sleep(DELAY_MS * Math.random()); // lest all clients march in step
      }
    });
    const writes = (async () => {
      for (let i = 0; history.reads.length < 4000; i++)
        await write(writer, 'writer', new Map([['hot', `value ${i}`]]), history);
    })();
    await Promise.all([...loops, writes]);
    const calls = (await rangesHandled(etcd.first.metricsUrl)) - counted;
    // the wire delays each answer, so that this many round trips at most fit into the time
    const roundTrips = Math.ceil((performance.now() - began) / (DELAY_MS - 1));
    assert.ok(calls <= roundTrips, `${calls} calls in at most ${roundTrips} round trips`);
    assert.ok(calls <= history.reads.length / 10, `${calls} calls for ${history.reads.length} reads`);
    assert.deepEqual(violations(history, await logOf(etcd.first.address)).slice(0, 5), []);
    // On a busy machine the proxy may just ask a member that was silent whether it serves.
    await until('nothing is left', async () => (await metric(proxy.url, 'etcd_proxy_read_flights')) === 0);
  });

  test('errors of etcd reach every client as etcd gave them', async () => {
    const refused: Partial<RangeRequest>[] = [{ key: bytes('k'), revision: 1_000_000n }, { key: bytes('') }];
    // Earlier releases take any order.
    if (atLeast(place.etcd.install, 3, 6)) refused.push({ key: bytes('k'), sortOrder: 7 as never });
    for (const fields of refused) {
      const request = range(fields);
      const expected = await direct.call(RANGE, [request]);
      assert.notEqual(expected.code, 0);
      const joined = await metric(place.proxy.url, 'etcd_proxy_read_joins_total');
      const outcomes = await Promise.all(repeat(30, () => client.call(RANGE, [request])));
      for (const outcome of outcomes) assert.deepEqual(outcome, expected);
      assert.ok((await metric(place.proxy.url, 'etcd_proxy_read_joins_total')) > joined, 'they shared');
    }
  });

  test('a request that is not protobuf, and one with fields that nobody knows, are etcd’s to answer', async () => {
    const odd = Buffer.concat([range({ key: bytes('k') }), Buffer.from([0xfa, 0x3f, 1, 65])]);
    for (const request of [Buffer.from([0xff, 0xff, 0xff]), odd]) {
      const expected = await direct.call(RANGE, [request]);
      for (const outcome of await Promise.all(repeat(10, () => client.call(RANGE, [request]))))
        assert.deepEqual(outcome, expected);
    }
  });

  test('deadlines and cancellations are each client’s own', async () => {
    const { relay, proxy } = place;
    const request = range({ key: bytes('k'), limit: 1n });
    const open = (timeoutMs?: number) => {
      const call = client.open(RANGE, timeoutMs === undefined ? {} : { timeoutMs });
      call.send(request);
      call.halfClose();
      return call;
    };
    relay.hold();
    const first = open(200);
    const [impatient, cancelled, patient] = [
      repeat(5, () => open(200)),
      repeat(5, () => open()),
      repeat(5, () => open(60_000)),
    ];
    for (const call of [first, ...impatient]) assert.equal((await call.end).code, 4);
    for (const call of cancelled) call.cancel();
    for (const call of cancelled) assert.equal((await call.end).code, 1);
    relay.release();
    for (const call of patient) {
      const { code, messages } = await collect(call);
      assert.deepEqual([code, messages.length], [0, 1]);
    }
    // On a busy machine the proxy may just ask a member that was silent whether it serves.
    await until('nothing is left', async () => (await metric(proxy.url, 'etcd_proxy_read_flights')) === 0);
  });

  test('switched off, and beyond the bound, every read is a call of its own', async () => {
    const { etcd, relay } = place;
    for (const flag of ['--read-coalescing=off', '--max-read-flights=0']) {
      await using proxy = await startProxy({ endpoints: [relay.address], flags: [flag] });
      using alone = new RawGrpcClient(proxy.address);
      const request = range({ key: bytes('k') });
      // The proxy has asked whether its endpoint serves before it serves anybody.
      await alone.call(RANGE, [request]);
      const counted = await rangesHandled(etcd.first.metricsUrl);
      for (const { code } of await Promise.all(repeat(20, () => alone.call(RANGE, [request]))))
        assert.equal(code, 0);
      const cost = (await rangesHandled(etcd.first.metricsUrl)) - counted;
      // On a busy machine the proxy asks a member that was silent for a second whether it serves, which is a read too.
      assert.ok(cost >= 20 && cost < 30, `${cost} calls for 20 reads`);
      const refused = await metric(proxy.url, 'etcd_proxy_read_limits_total{limit="flights"}');
      assert.equal(refused, flag === '--max-read-flights=0' ? 21 : 0);
    }
  });

  test('when etcd is lost, every client is told', async () => {
    const { relay } = place;
    const request = range({ key: bytes('k'), limit: 2n });
    relay.hold();
    const calls = repeat(20, () => client.call(RANGE, [request], { timeoutMs: 20_000 }));
    const flights = () => metric(place.proxy.url, 'etcd_proxy_read_flights');
    await until('the reads are under way', async () => (await flights()) === 1);
    relay.cut(true);
    for (const { code, message } of await Promise.all(calls)) {
      assert.equal(code, 14);
      assert.match(message, /no connection to etcd: /);
    }
    relay.release();
    relay.accept();
    // One asks until etcd is connected again: all of them would keep everybody from it.
    const read = () => client.call(RANGE, [request]);
    await until('an answer of etcd', async () => (await read()).code !== 14, 60_000);
    for (const { messages } of await Promise.all(repeat(20, read))) assert.equal(messages.length, 1);
  });
});
