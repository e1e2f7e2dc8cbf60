/** The running program: etcd that comes later, signals, and sockets of the file system. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { type StatusObject, status } from '@grpc/grpc-js';
import { KV } from '#gen/etcdserverpb/kv_pb.js';
import { Lease } from '#gen/etcdserverpb/lease_pb.js';
import { Watch, WatchRequestSchema } from '#gen/etcdserverpb/watch_pb.js';
import { Lock } from '#gen/v3lockpb/lock_pb.js';
import {
  atLeast,
  availableEtcds,
  type EtcdCluster,
  type EtcdInstall,
  etcdctl,
  newestEtcd,
  startEtcd,
} from '../support/etcd.ts';
import { tempDir } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { GrpcJs } from './npm/grpc-js.ts';
import { logOf, start, started } from './program/run.ts';

const key = Buffer.from('key');

describe('running program', () => {
  let etcd: EtcdCluster;
  before(async () => {
    etcd = await startEtcd();
  });
  after(() => etcd?.stop());

  test('etcd appears after the proxy', etcdAppears);
  test('SIGTERM and SIGINT end an idle proxy with 0', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      await using proxy = await startProxy({ endpoints: etcd.endpoints });
      using client = new GrpcJs(proxy.address);
      await client.unary(KV.method.range, { key });
      assert.deepEqual(await proxy.process.stop(signal, 30_000), { code: 0, signal: null });
      const messages = logOf(proxy.process.stderr).map(({ msg }) => msg);
      assert.deepEqual(messages.slice(-2), ['draining', 'stopped']);
    }
  });
  test('SIGTERM lets a call finish and takes no connection more', () => drainsCall(etcd));
  test('SIGTERM tells streams to go elsewhere', () => endsStreams(etcd));
  test('a second signal ends it at once', () => secondSignal(etcd));
  test('listens on a unix socket', () => listensOnSocket(etcd));
});

describe('etcd on a unix socket', async () => {
  for (const install of await availableEtcds()) {
    const skip = !atLeast(install, 3, 5) && 'before 3.5 etcd takes no path for a socket';
    test(`etcd ${install.version}`, { skip }, () => socketUpstream(install));
  }
});

async function etcdAppears(): Promise<void> {
  await using late = await startEtcd();
  await late.first.kill();
  await using proxy = await startProxy({ endpoints: late.endpoints });
  using client = new GrpcJs(proxy.address);
  const early = client.unary(KV.method.range, { key }, {}, { deadline: Date.now() + 1_000 });
  await assert.rejects(
    early,
    ({ code }: StatusObject) => code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED,
  );
  await late.first.start();
  await until('an answer', async () => {
    try {
      return await client.unary(KV.method.put, { key });
    } catch (error) {
      assert.equal((error as StatusObject).code, status.UNAVAILABLE);
      return undefined;
    }
  });
}

function refusesConnections(address: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const [host = '', port = ''] = address.split(':');
  const socket = connect(Number(port), host);
  socket.once('error', () => resolve(true));
  socket.once('connect', () => {
    socket.destroy();
    resolve(false);
  });
  return promise;
}

async function drainsCall(etcd: EtcdCluster): Promise<void> {
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using client = new GrpcJs(proxy.address);
  using direct = new GrpcJs(etcd.first.address);
  const name = Buffer.from('drain/lock');
  const holder = await direct.unary(Lease.method.leaseGrant, { TTL: 60n });
  const waiter = await direct.unary(Lease.method.leaseGrant, { TTL: 60n });
  const held = await direct.unary(Lock.method.lock, { name, lease: holder.ID });
  const waiting = client.unary(Lock.method.lock, { name, lease: waiter.ID });
  await until('a second candidate', async () => {
    const rangeEnd = Buffer.from('drain/lock0');
    return (await direct.unary(KV.method.range, { key: name, rangeEnd })).count === 2n;
  });
  proxy.process.signal('SIGTERM');
  await until('a closed port', () => refusesConnections(proxy.address));
  assert.equal(proxy.process.exit, undefined);
  await direct.unary(Lock.method.unlock, { key: held.key });
  assert.ok((await waiting).key.length > 0);
  assert.deepEqual(await proxy.process.waitForExit(30_000), { code: 0, signal: null });
  for (const { ID } of [holder, waiter]) await direct.unary(Lease.method.leaseRevoke, { ID });
}

function openWatch(client: GrpcJs): { created: Promise<unknown>; ended: Promise<StatusObject> } {
  const stream = client.bidi(Watch.method.watch);
  stream.on('error', () => {}); // what comes of it is in the status
  const ended = new Promise<StatusObject>((resolve) => stream.once('status', resolve));
  const created = new Promise((resolve) => stream.once('data', resolve));
  stream.write(create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value: { key } } }));
  return { created, ended };
}

async function endsStreams(etcd: EtcdCluster): Promise<void> {
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using client = new GrpcJs(proxy.address);
  const watch = openWatch(client);
  await watch.created;
  proxy.process.signal('SIGTERM');
  assert.equal((await watch.ended).code, status.UNAVAILABLE);
  assert.deepEqual(await proxy.process.waitForExit(30_000), { code: 0, signal: null });
}

async function secondSignal(etcd: EtcdCluster): Promise<void> {
  await using proxy = await startProxy({ endpoints: etcd.endpoints });
  using client = new GrpcJs(proxy.address);
  using direct = new GrpcJs(etcd.first.address);
  const { ID } = await direct.unary(Lease.method.leaseGrant, { TTL: 60n });
  const name = Buffer.from('second/lock');
  await direct.unary(Lock.method.lock, { name, lease: ID });
  const other = await direct.unary(Lease.method.leaseGrant, { TTL: 60n });
  const waiting = client.unary(Lock.method.lock, { name, lease: other.ID });
  const failed = assert.rejects(waiting);
  await until('a second candidate', async () => {
    const rangeEnd = Buffer.from('second/lock0');
    return (await direct.unary(KV.method.range, { key: name, rangeEnd })).count === 2n;
  });
  // As of one Ctrl-C, from the terminal and from a program around it: at once, however slow this process is. Two of a
  // kind that wait for a stopped process would be one.
  for (const signal of ['SIGSTOP', 'SIGINT', 'SIGTERM', 'SIGCONT'] as const) proxy.process.signal(signal);
  await proxy.process.waitForLine(/"draining"/, 30_000);
  await sleep(1000); // nothing may happen
  assert.equal(proxy.process.exit, undefined, 'it drains');
  proxy.process.signal('SIGTERM');
  assert.deepEqual(await proxy.process.waitForExit(30_000), { code: 1, signal: null });
  await failed;
  for (const lease of [ID, other.ID]) await direct.unary(Lease.method.leaseRevoke, { ID: lease });
}

async function listensOnSocket(etcd: EtcdCluster): Promise<void> {
  const socket = join(await tempDir('socket'), 'proxy');
  const args = ['start', `--endpoints=${etcd.endpoints.join()}`, `--listen-addr=unix://${socket}`];
  for (const end of ['SIGKILL', 'SIGTERM'] as const) {
    // The second time there is the socket that the first one, killed, left behind.
    await using running = await start(args);
    assert.equal(await started(running), socket);
    using client = new GrpcJs(`unix://${socket}`);
    await client.unary(KV.method.put, { key, value: Buffer.from('by socket') });
    const ctl = await newestEtcd();
    if (ctl.etcdctl !== undefined) {
      const { code, stdout } = await etcdctl(ctl, `unix://${socket}`, ['get', 'key']);
      assert.deepEqual([code, stdout], [0, 'key\nby socket\n']);
    }
    await running.stop(end, 30_000);
  }
}

async function socketUpstream(install: EtcdInstall): Promise<void> {
  await using etcd = await startEtcd({ install, unixSocket: true });
  await using proxy = await startProxy({ endpoints: [`unix://${etcd.first.unixSocket}`] });
  using client = new GrpcJs(proxy.address);
  await client.unary(KV.method.put, { key, value: Buffer.from('1') });
  assert.equal((await client.unary(KV.method.range, { key })).count, 1n);
  const watch = openWatch(client);
  await watch.created;
}
