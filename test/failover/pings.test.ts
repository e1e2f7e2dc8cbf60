/**
 * A quiet connection to a real etcd lives on, whatever the proxy's flags and etcd's say about pings: a call for a lock
 * that somebody else holds waits on it for as long as it takes.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import { startEtcd } from '../support/etcd.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

/** Lets a call for a lock wait through a proxy for so long, and says what the proxy has logged. */
async function lockWaits(etcdFlag: string[], proxyFlag: string[], seconds: number): Promise<string> {
  await using etcd = await startEtcd({ args: etcdFlag });
  await using proxy = await startProxy({ endpoints: etcd.endpoints, flags: proxyFlag });
  const name = new TextEncoder().encode('lock');
  const direct = createClient(Lock, createGrpcTransport({ baseUrl: etcd.first.url }));
  const proxied = createClient(Lock, createGrpcTransport({ baseUrl: proxy.url }));
  const holder = await direct.lock({ name });
  const waiting = proxied.lock({ name });
  waiting.catch(() => {}); // it is looked at below
  for (let i = 0; i < 10 * seconds && lost(proxy).length === 0; i++) await sleep(100);
  assert.deepEqual(lost(proxy), []);
  await direct.unlock({ key: holder.key });
  assert.ok((await waiting).key.length > 0, 'the lock that waited was granted');
  return proxy.process.stderr;
}

function lost(proxy: RunningProxy): string[] {
  return proxy.stderr.filter((line) => line.includes('lost the connection'));
}

describe('no connection is lost to pings', { concurrency: true }, () => {
  test('a flag that asks for more pings than gRPC allows is not followed, and the log says so once', async () => {
    const log = await lockWaits([], ['--dial-keepalive-time=2s'], 25);
    const lines = log.split('\n').filter((line) => line.includes('dial-keepalive-time'));
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /"level":"warn".*"used":"10s"/);
  });

  test('an etcd that wants a minute between pings, and the default flags', async () => {
    const log = await lockWaits(['--grpc-keepalive-min-time=1m'], [], 45);
    assert.ok(!log.includes('dial-keepalive-time'));
  });

  test('an etcd that wants a minute between pings, and pings without calls', async () => {
    await using etcd = await startEtcd({ args: ['--grpc-keepalive-min-time=1m'] });
    const flags = ['--permit-without-stream', '--watch-linger=0s'];
    await using proxy = await startProxy({ endpoints: etcd.endpoints, flags });
    await proxy.process.waitForLine(/"connected to etcd"/, 30_000);
    for (let i = 0; i < 450 && lost(proxy).length === 0; i++) await sleep(100);
    assert.deepEqual(lost(proxy), []);
  });
});
