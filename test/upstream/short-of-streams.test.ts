/** Calls that wait while etcd is away or short of streams, and what becomes of them when an endpoint is left or the pool closes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KV, Lease, Watch } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { Cluster } from '../../src/upstream/cluster.ts';
import { until } from '../support/until.ts';
import { clientOptions, ScriptedEtcd } from './scripted-etcd.ts';

const EMPTY = new Uint8Array(0);
const ignore = (): void => {};

describe('more', () => {
  test('a rest earned at one endpoint does not hold at the next', async () => {
    await using held = new AsyncDisposableStack();
    const members = [held.use(await ScriptedEtcd.start()), held.use(await ScriptedEtcd.start())];
    const { options } = clientOptions(members);
    const cluster = new Cluster(options);
    cluster.start();
    held.defer(() => cluster.close());
    const used = await until('in use', () => cluster.current);
    const from = members.find(({ address }) => used.name.includes(address)) as ScriptedEtcd;
    const to = members.find((member) => member !== from) as ScriptedEtcd;
    await sleep(400);
    from.question = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');
    from.calls = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');
    const stream = cluster.stream(new OwnCall(Watch.Watch, NO_METADATA, Number.POSITIVE_INFINITY), {
      onHeaders: ignore,
      onMessage: ignore,
      onDrain: ignore,
      onEnd: ignore,
    });
    stream.send(EMPTY);
    await until('the watch is at the first', () => from.messages.length > 0);
    await cluster.unary(EMPTY, new OwnCall(KV.Range, NO_METADATA, Number.POSITIVE_INFINITY));
    await until('the watch is there', () => to.messages.length > 0);
    await sleep(50);
    const read = to.seen.findLast(({ path, hasLeader }) => path === KV.Range.path && !hasLeader);
    assert.notEqual(read?.connection, to.messages[0]?.connection);
  });

  test('who waited for a connection is told too when there is no stream', async () => {
    await using held = new AsyncDisposableStack();
    const member = held.use(await ScriptedEtcd.start(7, 2));
    const { address } = member;
    const { options } = clientOptions([member]);
    const cluster = new Cluster({ ...options, maxConnections: 1, dialTimeout: 500 });
    held.defer(() => cluster.close());
    const ends: number[] = [];
    const open = () => {
      const s = cluster.stream(new OwnCall(Lease.LeaseKeepAlive, NO_METADATA, Number.POSITIVE_INFINITY), {
        onHeaders: ignore,
        onMessage: ignore,
        onDrain: ignore,
        onEnd: ({ code }) => ends.push(code),
      });
      s.send(EMPTY);
    };
    // before it is connected
    cluster.start();
    for (let i = 0; i < 6; i++) open();
    await until('in use', () => cluster.current);
    await sleep(3000);
    console.log('before: ended', ends.length, 'at etcd', member.messages.length, address);
    const early = ends.length;
    for (let i = 0; i < 3; i++) open();
    await sleep(1500);
    console.log('those that came later: ended', ends.length - early);
    assert.ok(early > 0);
  });

  test('nothing is opened by a close', async () => {
    await using held = new AsyncDisposableStack();
    const member = held.use(await ScriptedEtcd.start());
    const { options } = clientOptions([member]);
    const cluster = new Cluster(options);
    cluster.start();
    await until('in use', () => cluster.current);
    // The second one is refused, so that a watch travels with replies; then its rest is over.
    member.question = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');
    const s = cluster.stream(new OwnCall(Watch.Watch, NO_METADATA, Number.POSITIVE_INFINITY), {
      onHeaders: ignore,
      onMessage: ignore,
      onDrain: ignore,
      onEnd: ignore,
    });
    s.send(EMPTY);
    await until('the watch is there', () => member.messages.length > 0);
    member.question = 'serve';
    await sleep(2500);
    cluster.close();
    await sleep(300);
    assert.equal(member.connections, 0);
  });
});
