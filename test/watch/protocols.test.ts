/** One hub for all protocols: whoever watches a key, however it speaks, shares the same watch on etcd. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { Browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import { rpc } from '../differential/rpc.ts';
import { type HttpVersion, WebClient, webProtocols } from '../differential/web-client.ts';
import { startEtcd } from '../support/etcd.ts';
import { etcdMetric, metric } from '../support/metrics.ts';
import { startProxy } from '../support/proxy.ts';
import { type OpenCall, RawGrpcClient } from '../support/raw-grpc.ts';
import { until } from '../support/until.ts';
import { b, put, remove, WatchCall } from '../support/watch-client.ts';

const KEY = 'shared by all';

test('gRPC, gRPC-Web and Connect over HTTP/1.1 and HTTP/2 are one watch on etcd', async () => {
  await using etcd = await startEtcd();
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using direct = new RawGrpcClient(etcd.first.address);
  using client = new RawGrpcClient(proxy.address);
  using held = new DisposableStack();
  const watch = new WatchCall(client);
  await watch.created({ key: b(KEY) });
  const calls: OpenCall[] = [watch.call];
  for (const protocol of webProtocols)
    for (const http of ['1.1', '2'] satisfies HttpVersion[]) {
      const web = held.use(new WebClient(proxy.url, protocol, http));
      const call = web.open(rpc(Browser.method.watch, { key: b(KEY) }));
      assert.equal((await next(call)).created, true);
      calls.push(call);
    }
  assert.equal(calls.length, 7);
  assert.equal(await metric(proxy.url, 'etcd_proxy_watch_watchers'), 7);
  assert.equal(await metric(proxy.url, 'etcd_proxy_watch_feeds'), 1);
  const onEtcd = (): Promise<number> =>
    etcdMetric(etcd.first.metricsUrl, 'etcd_debugging_mvcc_watcher_total');
  await until('a watch on etcd', async () => (await onEtcd()) >= 1);
  assert.equal(await onEtcd(), 1);

  const revision = await put(direct, KEY, 'v');
  await remove(direct, KEY);
  for (const call of calls) {
    const [changed, removed] = [await next(call), await next(call)];
    assert.equal(Number(changed.events[0]?.kv?.modRevision), revision);
    assert.equal(Number(removed.events[0]?.kv?.modRevision), revision + 1);
  }
  assert.equal(await metric(proxy.url, 'etcd_proxy_watch_events_in_total'), 2);
  assert.equal(await metric(proxy.url, 'etcd_proxy_watch_deliveries_total'), 14);
  for (const call of calls) call.cancel();
  await until('no watchers', async () => (await metric(proxy.url, 'etcd_proxy_watch_watchers')) === 0);
});

async function next(call: OpenCall): Promise<ReturnType<typeof fromBinary<typeof WatchResponseSchema>>> {
  const message = await call.next();
  if (message === undefined) throw new Error(`ended: ${JSON.stringify(await call.end)}`);
  return fromBinary(WatchResponseSchema, message);
}
