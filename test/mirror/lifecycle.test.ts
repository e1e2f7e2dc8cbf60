/**
 * What becomes of a mirror: while it loads, above its bound, after its watch was lost or compacted, when etcd is another
 * cluster or was set back to a backup. Reads are right all the time; what differs is who answers them.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { type RangeResponse, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { bytes, connect, type KvClient, lightClientOf } from '../reads/clients.ts';
import { Backup } from '../support/backup.ts';
import { type EtcdOptions, startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { Relay } from '../support/relay.ts';
import { outerEtcds } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { CutRelay } from '../watch/cut-relay.ts';
import {
  fallBacks,
  hits,
  mirrorPage,
  outcomeOf,
  PREFIX,
  PREFIX_END,
  rangeRequest,
  untilServing,
} from './support.ts';

const ALL = { key: bytes(PREFIX), rangeEnd: bytes(PREFIX_END) };
const TIMEOUT = { timeout: 90_000 };

/** An etcd behind a wire that can be cut and led elsewhere, and a proxy that mirrors through it. */
async function setUp(held: AsyncDisposableStack, options: EtcdOptions = {}, flags: readonly string[] = []) {
  const etcd = held.use(await startEtcd(options));
  const wire = held.use(await CutRelay.start(etcd.first.address));
  const direct = lightClientOf(etcd.first.address, held);
  await putMany(direct, 50);
  const proxy = held.use(
    await startProxy({
      endpoints: [wire.address],
      flags: [`--cache-prefix=${PREFIX}`, '--dial-timeout=5s', ...flags],
    }),
  );
  const client = lightClientOf(proxy.address, held);
  return { etcd, wire, direct, proxy, client };
}

async function putMany(client: KvClient, count: number, size = 10): Promise<void> {
  for (let i = 0; i < count; i++)
    await client.put({ key: bytes(`${PREFIX}${i}`), value: new Uint8Array(size).fill(65) });
}

/** Reads the same through the proxy and from etcd; both must say the same. */
async function same(client: KvClient, direct: KvClient, fields: object = ALL): Promise<RangeResponse> {
  const [ours, theirs] = [await client.range(fields), await direct.range(fields)];
  assert.deepEqual(ours.kvs, theirs.kvs);
  assert.equal(ours.header?.clusterId, theirs.header?.clusterId);
  assert.equal(ours.header?.revision, theirs.header?.revision);
  return ours;
}

/** Waits until clients have connections again. Asks for what no mirror has. */
async function reachable(...clients: readonly KvClient[]): Promise<void> {
  for (const client of clients)
    await until('etcd is reached', () =>
      client.range({ key: bytes('elsewhere') }).then(
        () => true,
        () => false,
      ),
    );
}

async function hitsOf(proxy: RunningProxy, does: () => Promise<unknown>): Promise<number> {
  const before = await hits(proxy.url);
  await does();
  return (await hits(proxy.url)) - before;
}

/** Does it until the mirror answers, once each time: where the machine stands still, reads wait for too long and are forwarded. */
const untilServed = (proxy: RunningProxy, does: () => Promise<unknown>) =>
  until('an answer from memory', async () => (await hitsOf(proxy, does)) === 1);

const inState = (url: string, state: string) =>
  until(`the mirror is ${state}`, async () => {
    const series = `etcd_proxy_mirror_state{prefix="${PREFIX}",state="${state}"}`;
    return (await metric(url, series).catch(() => 0)) === 1;
  });

describe('the life of a mirror', () => {
  test('while it loads, reads are forwarded', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const etcd = held.use(await startEtcd());
    const direct = lightClientOf(etcd.first.address, held);
    await putMany(direct, 200);
    const slow = held.use(await Relay.open(etcd.first.address, { delayMs: 300 }));
    const read = async () => {
      const proxy = held.use(
        await startProxy({ endpoints: [slow.address], flags: [`--cache-prefix=${PREFIX}`] }),
      );
      const client = lightClientOf(proxy.address, held);
      await same(client, direct);
      return { proxy, client };
    };
    let { proxy, client } = await read();
    // Where the machine stands still before the read, the mirror may be there by then.
    for (let tries = 1; tries < 3 && (await hits(proxy.url)) > 0; tries++) ({ proxy, client } = await read());
    assert.equal(await hits(proxy.url), 0);
    assert.equal(await fallBacks(proxy.url, 'loading'), 1);
    await untilServing(proxy.url);
    await untilServed(proxy, () => same(client, direct));
  });

  test('a snapshot of many pages with values of all sizes is whole', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const etcd = held.use(await startEtcd());
    const direct = lightClientOf(etcd.first.address, held);
    await putMany(direct, 3000, 10);
    for (let i = 0; i < 3000; i += 500)
      await direct.put({ key: bytes(`${PREFIX}${i}`), value: new Uint8Array(1 << 20) });
    const proxy = held.use(
      await startProxy({
        endpoints: etcd.endpoints,
        flags: [`--cache-prefix=${PREFIX}`, '--max-recv-bytes=8000000'],
      }),
    );
    await untilServing(proxy.url);
    const client = lightClientOf(proxy.address, held);
    await untilServed(proxy, () => same(client, direct, { ...ALL, countOnly: true }));
    for (const limit of [1n, 7n, 1000n]) await same(client, direct, { ...ALL, limit });
    await same(client, direct);
  });

  test('too large for its bound: refused with a line, memory freed, reads forwarded', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { direct, proxy, client } = await setUp(held, {}, ['--cache-prefix-bytes=100000']);
    await untilServing(proxy.url);
    await untilServed(proxy, () => same(client, direct));
    const bytesOf = () => metric(proxy.url, `etcd_proxy_mirror_bytes{prefix="${PREFIX}"}`);
    // history gives way first: the same keys again and again are no reason to end it
    await putMany(direct, 50, 1000);
    await putMany(direct, 50, 1000);
    await untilServed(proxy, () => same(client, direct));
    assert.ok((await bytesOf()) <= 100_000);
    await putMany(direct, 50, 3000);
    await inState(proxy.url, 'over');
    assert.equal(await bytesOf(), 0);
    assert.equal(await hitsOf(proxy, () => same(client, direct)), 0);
    await until('the line', () =>
      proxy.stderr.some((line) => line.includes('larger than --cache-prefix-bytes')),
    );
  });

  test('too large from the beginning', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { direct, proxy, client } = await setUp(held, {}, ['--cache-prefix-bytes=5000']);
    await inState(proxy.url, 'over');
    await same(client, direct);
  });

  test(
    'a lost stream is opened again and nothing is missing; while it is away, reads wait or are forwarded',
    TIMEOUT,
    async () => {
      await using held = new AsyncDisposableStack();
      const { wire, direct, proxy, client } = await setUp(held);
      await untilServing(proxy.url);
      for (let round = 0; round < 5; round++) {
        wire.cut();
        await putMany(direct, 20, round + 1);
        await same(client, direct);
      }
      assert.equal(await metric(proxy.url, 'etcd_proxy_mirror_loads_total'), 1);
    },
  );

  test('compacted while its stream was away: loaded again', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { etcd, wire, direct, proxy, client } = await setUp(held);
    await untilServing(proxy.url);
    await same(client, direct);
    wire.target = '127.0.0.1:1';
    wire.cut();
    await direct.deleteRange({ key: bytes(`${PREFIX}7`) });
    await putMany(direct, 5);
    const { header } = await direct.put({ key: bytes(`${PREFIX}new`), value: bytes('x') });
    await direct.compact({ revision: header?.revision ?? 0n });
    wire.target = etcd.first.address;
    await until(
      'it is loaded again',
      async () => (await metric(proxy.url, 'etcd_proxy_mirror_loads_total')) === 2,
    );
    await untilServed(proxy, () => same(client, direct));
  });

  test('another cluster behind the same address', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { wire, direct, proxy, client } = await setUp(held);
    await untilServing(proxy.url);
    const old = await same(client, direct);
    const other = held.use(await startEtcd());
    const otherDirect = lightClientOf(other.first.address, held);
    await putMany(otherDirect, 5);
    wire.target = other.first.address;
    wire.cut();
    // Never the old cluster's keys under the new one's name: linearizable reads ask first.
    const fresh = await same(client, otherDirect);
    assert.notEqual(fresh.header?.clusterId, old.header?.clusterId);
    assert.equal(fresh.kvs.length, 5);
    await until(
      'it is loaded again',
      async () => (await metric(proxy.url, 'etcd_proxy_mirror_loads_total')) === 2,
    );
    await untilServed(proxy, () => same(client, otherDirect));
  });

  test('the same cluster, set back to a backup', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { etcd, direct, proxy, client } = await setUp(held);
    await untilServing(proxy.url);
    const member = etcd.first;
    const backup = held.use(await Backup.of(member));
    await reachable(direct, client);
    await direct.put({ key: bytes(`${PREFIX}3`), value: bytes('lost with the backup') });
    await putMany(direct, 20, 3);
    // The mirror knows what will be lost.
    await untilServed(proxy, () => same(client, direct));
    await backup.restore();
    await reachable(direct, client);
    await same(client, direct);
    await direct.put({ key: bytes(`${PREFIX}after`), value: bytes('x') });
    assert.equal((await same(client, direct)).kvs.length, 51);
    await until(
      'it is loaded again',
      async () => (await metric(proxy.url, 'etcd_proxy_mirror_loads_total')) >= 2,
    );
    await untilServing(proxy.url);
    // The first reads may have to wait for what the new watch says of its progress, and are forwarded where that is late.
    await untilServed(proxy, () => same(client, direct));
    // What clients were told of the lost past counts no more, so a serializable read need not wait for it: it would in vain.
    await untilServed(proxy, () => client.range({ ...ALL, serializable: true }));
  });
});

describe('revisions', () => {
  test('a revision that etcd has compacted is refused, also where the mirror knows it', TIMEOUT, async () => {
    await using held = new AsyncDisposableStack();
    const { direct, proxy, etcd } = await setUp(held);
    await untilServing(proxy.url);
    await putMany(direct, 20, 5);
    const client = connect(proxy.address);
    held.defer(() => client.close());
    const etcdItself = connect(etcd.first.address);
    held.defer(() => etcdItself.close());
    // The mirror has come that far when it answers.
    const { header } = await same(lightClientOf(proxy.address, held), direct);
    const now = Number(header?.revision);
    const at = (revision: number, serializable: boolean) =>
      rangeRequest({ ...ALL, revision: BigInt(revision), serializable });
    for (const serializable of [false, true])
      await untilServed(proxy, async () => {
        const reply = await outcomeOf(client, at(now - 5, serializable));
        assert.ok(typeof reply !== 'string' && fromBinary(RangeResponseSchema, reply).kvs.length === 50);
      });
    await direct.compact({ revision: BigInt(now - 2) });
    for (const revision of [now - 5, now - 3, now + 1]) {
      for (const serializable of [false, true]) {
        const request = at(revision, serializable);
        assert.equal(await outcomeOf(client, request), await outcomeOf(etcdItself, request));
      }
    }
    const kept = at(now - 2, false);
    await untilServed(proxy, () => outcomeOf(client, kept));
  });

  describe('a write through the proxy is seen by every later read through it', async () => {
    for (const install of await outerEtcds()) {
      test(`etcd ${install.version}`, TIMEOUT, async () => {
        await using held = new AsyncDisposableStack();
        const { proxy, client } = await setUp(held, { install });
        await untilServing(proxy.url);
        const other = lightClientOf(proxy.address, held);
        // It serves before its watch is known to have brought everything; until then it leaves reads to etcd.
        await until('an answer from memory', async () => {
          await other.range({ ...ALL, serializable: true });
          return (await hits(proxy.url)) > 0;
        });
        for (let i = 0; i < 100; i++) {
          const inside = i % 3 !== 0;
          const key = bytes(inside ? `${PREFIX}${i % 7}` : 'outside');
          const { header } = await client.put({ key, value: bytes(`${i}`) });
          const seen = await other.range({ ...ALL, serializable: true });
          assert.ok((seen.header?.revision ?? 0n) >= (header?.revision ?? 0n), `${i}: a header from before`);
          const written = seen.kvs.find((kv) => Buffer.from(kv.key).equals(key));
          if (inside) assert.equal(Buffer.from(written?.value ?? []).toString(), `${i}`);
        }
        // Without progress responses that can be trusted, the mirror cannot follow writes elsewhere.
        const least = install.major === 3 && install.minor === 4 ? 1 : 50;
        const answered = await hits(proxy.url);
        assert.ok(answered >= least, await mirrorPage(proxy.url));
      });
    }
  });
});
