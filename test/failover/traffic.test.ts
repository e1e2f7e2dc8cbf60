/**
 * An etcd that allows a hundred streams on a connection: watches that want more than all that they may have are refused
 * with a reason, and leave heartbeats, locks and short calls their places.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  LeaseGrantRequestSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
} from '#gen/etcdserverpb/lease_pb.js';
import { LockRequestSchema } from '#gen/v3lockpb/lock_pb.js';
import { startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric, streamsInProgress } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put, WatchCall } from '../support/watch-client.ts';

const LIMIT = 100;
/** Connections that one kind of calls may fill. */
const CONNECTIONS = 3;
const TOO_MANY = 20;
/** More than one connection has streams for. */
const OTHERS = LIMIT + 10;
/** So long a call waits for a stream: longer than opening the connections takes on a busy machine. */
const DIAL_TIMEOUT = '--dial-timeout=5s';
/** A call without a stream is refused long before. */
const LIMIT_MS = 20_000;

const grant = toBinary(LeaseGrantRequestSchema, create(LeaseGrantRequestSchema, { ID: 7n, TTL: 3600n }));
const heartbeat = toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID: 7n }));
const lock = toBinary(LockRequestSchema, create(LockRequestSchema, { name: b('lock') }));

/** A heartbeat on each of so many streams; the least time to live that was answered. */
async function beat(client: RawGrpcClient, streams: number): Promise<bigint> {
  const calls = Array.from({ length: streams }, () => client.open('/etcdserverpb.Lease/LeaseKeepAlive'));
  for (const call of calls) call.send(heartbeat);
  let least = 3600n;
  for (const call of calls) {
    const reply = await call.next();
    if (reply === undefined) throw new Error(`no heartbeat: ${JSON.stringify(await call.end)}`);
    const { TTL } = fromBinary(LeaseKeepAliveResponseSchema, reply);
    if (TTL < least) least = TTL;
  }
  return least;
}

describe('more watches than etcd has streams for', { concurrency: true }, () => {
  for (const coalescing of ['on', 'off'])
    test(`coalescing ${coalescing}`, async () => {
      await using etcd = await startEtcd({ args: [`--max-concurrent-streams=${LIMIT}`] });
      const flags = [
        DIAL_TIMEOUT,
        `--watch-coalescing=${coalescing}`,
        `--max-etcd-connections=${CONNECTIONS}`,
      ];
      await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
      using direct = new RawGrpcClient(etcd.first.address);
      using watcher = new RawGrpcClient(proxy.address);
      using client = new RawGrpcClient(proxy.address);
      await client.call('/etcdserverpb.Lease/LeaseGrant', [grant]);
      const ended: string[] = [];
      // Each of somebody else, so that none shares a stream to etcd.
      const watches = Array.from({ length: CONNECTIONS * LIMIT + TOO_MANY }, (_, i) => {
        const watch = new WatchCall(watcher, { metadata: { authorization: `token ${i}` } });
        watch.create({ key: b(`k${i}`) });
        void watch.end.then(({ code, message }) => ended.push(`${code} ${message}`));
        return watch;
      });
      await until(
        () => `${ended.length} watches have ended`,
        () => ended.length >= TOO_MANY,
      );
      assert.equal(await beat(client, OTHERS), 3600n);
      const locked = await client.call('/v3lockpb.Lock/Lock', [lock]);
      assert.equal(locked.code, 0, locked.message);
      const locks = Array.from({ length: OTHERS }, () => client.open('/v3lockpb.Lock/Lock'));
      for (const call of locks) {
        call.send(lock);
        call.halfClose();
      }
      await until(
        'all locks wait at etcd',
        async () => (await streamsInProgress(etcd.first.metricsUrl, 'Lock')) === OTHERS,
      );
      await put(client, 'other', 'v', { timeoutMs: LIMIT_MS });
      for (const end of ended)
        assert.match(
          end,
          /^14 .*etcd allows no more streams on its connections \(--max-concurrent-streams\)$/,
        );
      assert.equal(ended.length, TOO_MANY);
      // A lock that waits is a watch of etcd's own.
      const watched = () => etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
      await until('all watches are there', async () => (await watched()) === CONNECTIONS * LIMIT + OTHERS);
      const refused = 'etcd_proxy_upstream_no_stream_total{traffic="watches"}';
      assert.equal(await metric(proxy.url, refused), TOO_MANY);
      await put(direct, `k0`, 'v');
      assert.equal((await (watches[0] as WatchCall).revisions(1)).length, 1);
      for (const watch of watches) watch.close();
    });
});
