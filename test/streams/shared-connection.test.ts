/**
 * The connection to etcd is everybody's: a client that writes more than memory is for while etcd does not read is
 * held back, and neither it nor the others lose anything.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { PutRequestSchema, RangeRequestSchema } from '#gen/etcdserverpb/kv_pb.js';
import {
  LeaseGrantRequestSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
} from '#gen/etcdserverpb/lease_pb.js';
import { peakOf } from '../../bench/support/memory.ts';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { type GrpcEnd, type RawCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';

const MIB = 1 << 20;
const LEASE = 77n;
const LIMIT_MS = 240_000;
/** Of 1.5 MB each: far more than may be held, which is 256 MiB. */
const PUTS = LONG ? 600 : 300;
/** Windows, read buffers, what the socket holds, and garbage that the collector has not seen yet. */
const SLACK = 224 * MIB;

const putRequest = (key: string, size: number): Uint8Array =>
  toBinary(PutRequestSchema, create(PutRequestSchema, { key: b(key), value: Buffer.alloc(size, 7) }));

/** A lease's heartbeats on one stream. */
class Heartbeats {
  readonly call: RawCall;

  constructor(client: RawGrpcClient) {
    this.call = client.open('/etcdserverpb.Lease/LeaseKeepAlive');
  }

  /** One heartbeat; the time to live that etcd answers. */
  async beat(): Promise<bigint> {
    this.call.send(toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID: LEASE })));
    const reply = await this.call.next(LIMIT_MS);
    if (reply === undefined) throw new Error(`the heartbeats ended: ${JSON.stringify(await this.call.end)}`);
    return fromBinary(LeaseKeepAliveResponseSchema, reply).TTL;
  }
}

/** How often a writer was held back. */
const heldBack = (proxy: RunningProxy): Promise<number> =>
  metric(proxy.url, 'etcd_proxy_request_bytes_limit_total{reaction="held_back"}');

/** How many calls ended in which way. */
function tally(ends: readonly GrpcEnd[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { code, message } of ends) {
    const text = `${code} ${message}`.trim();
    counts[text] = (counts[text] ?? 0) + 1;
  }
  return counts;
}

for (const writers of [1, 4]) {
  test(`${PUTS} puts of 1.5 MB from ${writers} connections while etcd pauses`, async (t) => {
    await using etcd = await startEtcd({ quotaBackendBytes: 4096 * MIB });
    await using proxy = await startProxy({ endpoints: etcd.endpoints });
    using other = new RawGrpcClient(proxy.address);
    const grant = create(LeaseGrantRequestSchema, { ID: LEASE, TTL: 3600n });
    const granted = await other.call('/etcdserverpb.Lease/LeaseGrant', [
      toBinary(LeaseGrantRequestSchema, grant),
    ]);
    assert.equal(granted.code, 0);
    const heartbeats = new Heartbeats(other);
    assert.equal(await heartbeats.beat(), 3600n);
    const watch = new WatchCall(other);
    await watch.created({ key: b('seen') });

    etcd.first.pause();
    const clients = Array.from({ length: writers }, () => new RawGrpcClient(proxy.address));
    const puts = Array.from({ length: PUTS }, (_, i) =>
      (clients[i % writers] as RawGrpcClient).call(
        '/etcdserverpb.KV/Put',
        [putRequest(`big/${i % 8}`, 1_500_000)],
        {
          limitMs: LIMIT_MS,
        },
      ),
    );
    const work = async (): Promise<readonly GrpcEnd[]> => {
      await sleep(4000); // the pause of etcd is the fault itself
      await until('the writers are held back', async () => (await heldBack(proxy)) > 0);
      etcd.first.resume();
      const beat = heartbeats.beat();
      const ends = await Promise.all(puts);
      assert.equal(await beat, 3600n);
      return ends;
    };
    const { result: ends, peak } = await peakOf(proxy.process.pid, work());
    const counts = tally(ends);
    t.diagnostic(`${JSON.stringify(counts)}, at most ${peak >> 20} MiB`);
    const refused = ends.filter(({ code }) => code === 8).length;
    assert.equal((counts['0'] ?? 0) + refused, PUTS, JSON.stringify(counts));
    assert.ok((counts['0'] ?? 0) >= PUTS / 2, 'most of them were held back, not refused');
    assert.equal(await heartbeats.beat(), 3600n);
    await put(other, 'seen', 'v', { timeoutMs: LIMIT_MS });
    assert.equal((await watch.revisions(1, LIMIT_MS)).length, 1);
    assert.equal(await metric(proxy.url, 'etcd_proxy_upstream_connections_lost_total'), 0);
    assert.ok(peak < 256 * MIB + SLACK + 100 * MIB, `${peak} bytes at most`);
    watch.close();
    heartbeats.call.cancel();
    for (const client of clients) client.close();
  });
}

test('more calls than the socket takes while etcd pauses', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: ['--read-coalescing=off'] });
  using client = new RawGrpcClient(proxy.address);
  await put(client, 'k', 'v');
  const request = toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: b('k') }));
  etcd.first.pause();
  // Header fields need no window: 600 calls of 40 kB of them are more than what may wait in a socket.
  const metadata = { 'x-large': 'x'.repeat(40_000) };
  const reads = Array.from({ length: 600 }, () =>
    client.call('/etcdserverpb.KV/Range', [request], { metadata, limitMs: LIMIT_MS }),
  );
  const gone = client.open('/etcdserverpb.KV/Range', { metadata });
  gone.send(request);
  gone.halfClose();
  await sleep(3000); // the pause of etcd is the fault itself
  gone.cancel();
  etcd.first.resume();
  assert.deepEqual(tally(await Promise.all(reads)), { '0': 600 });
  assert.equal(await metric(proxy.url, 'etcd_proxy_upstream_connections_lost_total'), 0);
});
