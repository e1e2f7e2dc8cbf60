/** How long feeds live: as long as a watcher is on them, for a while after that, and no longer. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { RawGrpcClient } from '../support/raw-grpc.ts';
import { b, put, span, WatchCall } from '../support/watch-client.ts';

const LINGER_MS = 1500;

const held = new AsyncDisposableStack();
let etcd: EtcdCluster;
let proxy: RunningProxy;
let direct: RawGrpcClient;
let client: RawGrpcClient;

before(async () => {
  etcd = held.use(await startEtcd());
  const flags = [`--watch-linger=${LINGER_MS}ms`, '--watch-history-revisions=5'];
  proxy = held.use(await startProxy({ endpoints: etcd.endpoints, flags }));
  direct = held.use(new RawGrpcClient(etcd.first.address));
  client = held.use(new RawGrpcClient(proxy.address));
});
after(() => held.disposeAsync());

async function puts(key: string, count: number): Promise<number[]> {
  const revisions: number[] = [];
  for (let i = 0; i < count; i++) revisions.push(await put(direct, key, `${i}`));
  return revisions;
}

describe('a feed that waits for a watcher', () => {
  test('lives on with one that a catch-up brings to it', async () => {
    const first = new WatchCall(client);
    await first.created({ key: b('linger') });
    const [start] = (await puts('linger', 20)) as [number];
    await first.revisions(20);
    first.close();
    // The feed has nobody, and its history begins too late: the watcher comes to it by way of a feed of its own.
    const late = new WatchCall(client);
    await late.created({ key: b('linger'), startRevision: BigInt(start) });
    assert.deepEqual(await late.revisions(20), span(start, start + 19));
    await sleep(2 * LINGER_MS);
    assert.deepEqual(await puts('linger', 3), await late.revisions(3));
    late.close();
  });
});
