/** What tells (watches, heartbeats) and what replies travel on connections of their own, and one of them may be lost. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Election, KV, Lease, Lock, Maintenance, Watch } from '../../src/etcd/methods.ts';
import type { Method } from '../../src/rpc/method.ts';
import type { ClusterClient, ClusterOptions } from '../../src/upstream/cluster-client.ts';
import { until } from '../support/until.ts';
import { ask, connectionOf, inUse, PATIENT, Stream } from './client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

/** Moving takes 2 to 4 s, on a busy machine more. */
const SOON_MS = 12_000;

/** A member, its client, and where calls travel. */
class Scene {
  readonly member: ScriptedEtcd;
  readonly cluster: ClusterClient;
  readonly heard: ReturnType<typeof connectTo>['heard'];

  private constructor(member: ScriptedEtcd, held: AsyncDisposableStack, options: Partial<ClusterOptions>) {
    this.member = member;
    const { cluster, heard } = connectTo([member], options);
    this.cluster = cluster;
    this.heard = heard;
    held.defer(() => cluster.close());
  }

  static async open(held: AsyncDisposableStack, options: Partial<ClusterOptions> = PATIENT): Promise<Scene> {
    const scene = new Scene(held.use(await ScriptedEtcd.start()), held, options);
    await inUse(scene.cluster);
    return scene;
  }

  /** A watch that etcd has answered, and its connection. */
  async watch(): Promise<{ stream: Stream; connection: string }> {
    const { stream, connection } = await this.open(Watch.Watch);
    this.member.messages.at(-1)?.stream.send(this.member.reply());
    await until('the answer to the watch', () => stream.answers === 1);
    return { stream, connection };
  }

  /** Opens a stream, and says on which connection it came. */
  async open(method: Method): Promise<{ stream: Stream; connection: string }> {
    const { messages } = this.member;
    const { length } = messages;
    const stream = new Stream(this.cluster, method);
    await until(`${method.name} is there`, () => messages.length > length);
    return { stream, connection: messages.at(-1)?.connection ?? '' };
  }

  /** Waits until the connections are no longer new: one that lives shorter counts as an attempt that failed. */
  settled(): Promise<void> {
    return sleep(1100);
  }

  /** Reads, and says on which connection. */
  async read(): Promise<string> {
    await this.ask(KV.Range);
    return connectionOf(this.member, KV.Range);
  }

  ask(method: Method): Promise<Uint8Array> {
    return ask(this.cluster, method);
  }
}

describe('connections to one endpoint', () => {
  test('are two: watches and heartbeats on one, what replies on the other', async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held);
    const apart = await scene.read();
    const { connection } = await scene.watch();
    assert.notEqual(connection, apart);
    assert.equal(await scene.read(), apart);
    assert.equal((await scene.open(Lease.LeaseKeepAlive)).connection, connection);
    assert.equal((await scene.open(Election.Observe)).connection, connection);
    assert.equal((await scene.open(Maintenance.Snapshot)).connection, apart);
    assert.equal((await scene.open(KV.RangeStream)).connection, apart);
    await scene.ask(Lock.Lock);
    assert.equal(connectionOf(scene.member, Lock.Lock), apart);
    assert.equal((await scene.watch()).connection, connection);
    assert.equal(scene.member.connections, 2);
  });

  test('are one as long as nothing has to be told', async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held);
    for (let i = 0; i < 20; i++) await scene.read();
    await scene.ask(Lock.Lock);
    await scene.open(Maintenance.Snapshot);
    for (let i = 0; i < 20; i++) await scene.read();
    assert.equal(scene.heard.connected.length, 1);
  });

  test('are one where the second one does not serve', async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held, { dialTimeout: 2000 });
    scene.member.question = 'silence';
    const { connection } = await scene.watch();
    assert.ok(scene.member.seen.some(({ hasLeader }) => hasLeader));
    await until('it is given up', () => scene.member.connections === 1, SOON_MS);
    assert.equal(await scene.read(), connection);
    scene.member.question = 'serve';
    await until('a watch has its own', async () => (await scene.watch()).connection !== connection, SOON_MS);
  });
});

describe('one of two connections', () => {
  test('that tells is lost: watches go on on a new one, all others where they are', async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held);
    const { stream, connection } = await scene.watch();
    const apart = await scene.read();
    scene.member.calls = 'silence';
    const slow = scene.ask(KV.Put);
    await until('the write is there', () => scene.member.count(KV.Put.path) === 1);
    scene.member.calls = 'serve';
    await scene.settled();
    scene.member.cut(connection);
    assert.equal(await stream.ended.promise, 14);
    const again = await scene.watch();
    assert.notEqual(again.connection, apart);
    assert.equal(await scene.read(), apart);
    assert.equal(scene.member.connections, 2);
    assert.equal(scene.heard.switches.length, 0);
    const pending = Symbol('pending');
    assert.equal(await Promise.race([slow, Promise.resolve(pending)]), pending, 'the write is where it was');
    slow.catch(() => {}); // it has no answer
  });

  test('that replies is lost: watches stay, reads go on at once, a Lock has the new one', async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held);
    const { stream, connection } = await scene.watch();
    const apart = await scene.read();
    await scene.settled();
    scene.member.cut(apart);
    await until('it is lost', () => scene.member.connections === 1);
    await Promise.all([scene.read(), scene.ask(Lock.Lock)]);
    const locked = scene.member.seen.findLast(({ path }) => path === Lock.Lock.path)?.connection;
    assert.notEqual(locked, connection);
    assert.equal(await scene.read(), locked);
    assert.equal(await Promise.race([stream.ended.promise, Promise.resolve('open')]), 'open');
    assert.equal(scene.heard.switches.length, 0);
  });

  test('that replies hangs: both are left', { timeout: 30_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held);
    await scene.watch();
    scene.member.deaf.add(await scene.read());
    await scene.ask(KV.Range);
    assert.equal(scene.heard.switches.length, 1);
  });

  test('that tells hangs while reads are answered: both are left', { timeout: 30_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held);
    const { stream, connection } = await scene.watch();
    await scene.read();
    scene.member.deaf.add(connection);
    const isOver = (error: unknown): void => assert.match(String(error), /shutting down/);
    const reading = setInterval(() => void scene.read().catch(isOver), 50);
    held.defer(() => clearInterval(reading));
    await until('left', () => scene.heard.switches.length === 1, SOON_MS);
    assert.equal(await stream.ended.promise, 14);
  });

  test('is lost and the other one is dead: both are left', { timeout: 30_000 }, async () => {
    await using held = new AsyncDisposableStack();
    const scene = await Scene.open(held);
    const { connection } = await scene.watch();
    const apart = await scene.read();
    scene.member.deaf.add(apart);
    scene.member.cut(connection);
    await until('left', () => scene.heard.switches.length === 1, SOON_MS);
    await scene.read();
  });
});
