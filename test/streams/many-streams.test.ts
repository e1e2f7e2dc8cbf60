/** Ten thousand streams and more at a time on one connection through the proxy: it has no limit unless told to. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RangeRequestSchema, RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { ClientCallListener, Ending } from '../../src/grpc/client-call.ts';
import { Code } from '../../src/rpc/status.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { LONG } from '../support/releases.ts';
import { until } from '../support/until.ts';
import { b, put } from '../support/watch-client.ts';
import { LoadConnection, LoadCounts, LoadStream } from '../support/watch-load.ts';

/** More than ten thousand, the limit of other proxies. */
const STREAMS = 10_300;

/** One read on a connection of the load: what it answered, and how it ended. */
class Read implements ClientCallListener {
  readonly done: Promise<void>;
  reply: Uint8Array | undefined;
  ending: Ending | undefined;
  readonly #finish: () => void;

  constructor(connection: LoadConnection, key: string) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#finish = resolve;
    const request = create(RangeRequestSchema, { key: b(key) });
    connection.call(this, '/etcdserverpb.KV/Range').send(toBinary(RangeRequestSchema, request), true);
  }

  onHeaders(): void {
    // The message and the status matter.
  }

  onMessage(message: Uint8Array): void {
    this.reply = message;
  }

  onDrain(): void {
    // Requests are small.
  }

  onEnding(ending: Ending): void {
    this.ending = ending;
    this.#finish();
  }
}

for (const coalescing of LONG ? ['on', 'off'] : ['on']) {
  describe(`${STREAMS} streams on one connection, coalescing ${coalescing}`, () => {
    let etcd: EtcdCluster;
    let proxy: RunningProxy;
    let direct: RawGrpcClient;
    before(async () => {
      etcd = await startEtcd();
      const flags = [`--watch-coalescing=${coalescing}`, `--read-coalescing=${coalescing}`];
      proxy = await startProxy({ endpoints: etcd.endpoints, flags });
      direct = new RawGrpcClient(etcd.first.address);
    });
    after(async () => {
      direct?.close();
      await proxy?.stop();
      await etcd?.stop();
    });

    test('watches, and as many again after those are cancelled', async () => {
      using connection = await LoadConnection.open(proxy.address);
      const counts = new LoadCounts();
      for (let wave = 1; wave <= 2; wave++) {
        const streams: LoadStream[] = [];
        for (let i = 0; i < STREAMS; i++)
          streams.push(new LoadStream(connection, counts, [{ key: b(`k${i % 100}`) }]));
        await counts.reach(() => counts.created === wave * STREAMS);
        const expected = coalescing === 'on' ? 100 : STREAMS;
        const onEtcd = (): Promise<number> =>
          etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
        // Those of the wave before may be cancelled a little later.
        await until(`${expected} watches on etcd`, async () => (await onEtcd()) === expected);
        for (let i = 0; i < 100; i++) await put(direct, `k${i}`, 'v');
        await counts.reach(() => counts.events === wave * STREAMS);
        assert.ok(streams.every(({ events }) => events === 1));
        assert.equal(await onEtcd(), expected);
        await new Read(connection, 'k1').done;
        for (const stream of streams) stream.cancel();
      }
      assert.equal(counts.ended, 0);
      assert.equal(await metric(proxy.url, 'etcd_proxy_http2_connections'), 1);
    });

    test('reads', async () => {
      using connection = await LoadConnection.open(proxy.address);
      const reads: Read[] = [];
      for (let i = 0; i < STREAMS; i++) reads.push(new Read(connection, `k${i % 200}`));
      await Promise.all(reads.map(({ done }) => done));
      reads.forEach(({ reply, ending }, i) => {
        assert.equal(ending?.status.code, Code.OK);
        const { kvs } = fromBinary(RangeResponseSchema, reply as Uint8Array);
        assert.deepEqual(
          kvs.map(({ key }) => Buffer.from(key).toString()),
          i % 200 < 100 ? [`k${i % 200}`] : [],
        );
      });
    });
  });
}
