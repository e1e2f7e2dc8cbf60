/** An attempt at a second connection that is broken off must not serve who waits, nor count as failed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KV, Watch } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { Cluster } from '../../src/upstream/cluster.ts';
import { until } from '../support/until.ts';
import { clientOptions, ScriptedEtcd } from './scripted-etcd.ts';

const EMPTY = new Uint8Array(0);
const ignore = (): void => {};

describe('an attempt at a second connection', () => {
  test('that a fail-over breaks off: its watch goes to the other endpoint only, on a connection of its own', async () => {
    await using held = new AsyncDisposableStack();
    const members = [held.use(await ScriptedEtcd.start()), held.use(await ScriptedEtcd.start())];
    const { options } = clientOptions(members);
    const failed: string[] = [];
    const cluster = new Cluster({
      ...options,
      observer: { ...options.observer, onDialFailed: (cause: string) => failed.push(cause) },
    });
    cluster.start();
    held.defer(() => cluster.close());
    const used = await until('in use', () => cluster.current);
    const from = members.find(({ address }) => used.name.includes(address)) as ScriptedEtcd;
    const to = members.find((member) => member !== from) as ScriptedEtcd;
    await sleep(400);
    from.question = 'silence';
    from.calls = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');
    const stream = cluster.stream(new OwnCall(Watch.Watch, NO_METADATA, Number.POSITIVE_INFINITY), {
      onHeaders: ignore,
      onMessage: ignore,
      onDrain: ignore,
      onEnd: ignore,
    });
    stream.send(EMPTY);
    await cluster.unary(EMPTY, new OwnCall(KV.Range, NO_METADATA, Number.POSITIVE_INFINITY));
    await until('the watch is there', () => to.messages.length > 0);
    await sleep(50);
    console.log('watches at the endpoint that is left:', from.messages.length, 'dial failures:', failed);
    const read = to.seen.findLast(({ path, hasLeader }) => path === KV.Range.path && !hasLeader);
    console.log('read on', read?.connection, 'watch on', to.messages[0]?.connection);
    assert.deepEqual(
      { left: from.messages.length, failed, shares: read?.connection === to.messages[0]?.connection },
      { left: 0, failed: [], shares: false },
    );
  });

  test('that is refused counts as one', async () => {
    await using held = new AsyncDisposableStack();
    const member = held.use(await ScriptedEtcd.start());
    const { options } = clientOptions([member]);
    const failed: string[] = [];
    const cluster = new Cluster({
      ...options,
      observer: { ...options.observer, onDialFailed: (cause: string) => failed.push(cause) },
    });
    cluster.start();
    held.defer(() => cluster.close());
    await until('in use', () => cluster.current);
    member.question = new RpcError(Code.UNAVAILABLE, 'etcdserver: no leader');
    const stream = cluster.stream(new OwnCall(Watch.Watch, NO_METADATA, Number.POSITIVE_INFINITY), {
      onHeaders: ignore,
      onMessage: ignore,
      onDrain: ignore,
      onEnd: ignore,
    });
    stream.send(EMPTY);
    await until('the watch is there', () => member.messages.length > 0);
    await sleep(20);
    assert.deepEqual(failed, []);
  });
});
