/**
 * What a client is told by any call through the proxy binds the answers from memory: none names an older revision. Each
 * time a key that is remembered and does not change, a write that the proxy knows nothing of, and one way of being
 * told.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { bytes, clientOf, type KvClient } from '../reads/clients.ts';
import { startEtcd } from '../support/etcd.ts';
import { metric } from '../support/metrics.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, WatchCall } from '../support/watch-client.ts';

describe('what clients are told', () => {
  const held = new AsyncDisposableStack();
  let proxy: RunningProxy;
  let direct: KvClient;
  let through: KvClient;
  before(async () => {
    const etcd = held.use(await startEtcd());
    proxy = held.use(await startProxy({ endpoints: etcd.endpoints }));
    direct = clientOf(etcd.first.address);
    through = clientOf(proxy.address);
    await direct.put({ key: bytes('quiet') });
  });
  after(() => held.disposeAsync());

  const read = () => through.range({ key: bytes('quiet'), serializable: true });

  /** Remembers the key, writes another, is told by `tell`, and reads. */
  async function check(tell: (revision: bigint) => Promise<bigint | undefined>): Promise<void> {
    const hits = () => metric(proxy.url, 'etcd_proxy_cache_hits_total');
    const before = await hits();
    await until('a hit', async () => {
      await read();
      return (await hits()) > before;
    });
    const { header } = await direct.put({ key: bytes('told/a') });
    const told = await tell(header?.revision as bigint);
    assert.ok(told !== undefined && told >= (header?.revision as bigint));
    assert.ok(((await read()).header?.revision ?? 0n) >= told);
  }

  test('by a linearizable read', () =>
    check(async () => (await through.range({ key: bytes('told/b') })).header?.revision));

  test('by the answer to a write', () =>
    check(async () => (await through.put({ key: bytes('told/b') })).header?.revision));

  test('by a call of another service', () =>
    check(async () => {
      const client = createClient(Maintenance, createGrpcTransport({ baseUrl: proxy.url }));
      return (await client.status({})).header?.revision;
    }));

  test('by a message of a forwarded stream', () =>
    check(async () => {
      const client = createClient(Lease, createGrpcTransport({ baseUrl: proxy.url }));
      async function* heartbeat() {
        yield { ID: 7n };
      }
      for await (const { header } of client.leaseKeepAlive(heartbeat())) return header?.revision;
      return undefined;
    }));

  test('by an event', async () => {
    using client = new RawGrpcClient(proxy.address);
    const watch = new WatchCall(client);
    await watch.created({ key: b('told/a') });
    await check(async () => (await watch.must()).header?.revision);
    watch.close();
  });

  test('by the start of a watch', async () => {
    using client = new RawGrpcClient(proxy.address);
    const watch = new WatchCall(client);
    await check(async () => (await watch.created({ key: b('told/c') })).header?.revision);
    watch.close();
  });
});
