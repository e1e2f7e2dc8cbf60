/** Reads that are put to other endpoints than the one in use: many of them at the same time cost those no more than one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KV } from '../../src/etcd/methods.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import type { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { until } from '../support/until.ts';
import { connectionOf, inUse, ofTwo } from './client.ts';
import { connectTo, ScriptedEtcd } from './scripted-etcd.ts';

const EMPTY = new Uint8Array(0);
const MANY = 50;

const read = (): OwnCall => new OwnCall(KV.Range, NO_METADATA, Number.POSITIVE_INFINITY);

const visit = (cluster: ClusterClient, call = read()): Promise<Uint8Array | undefined> =>
  cluster.askElsewhere(EMPTY, call, () => true);

test('reads at the same time share a connection, which closes behind the last of them', async () => {
  await using held = new AsyncDisposableStack();
  const { cluster, to } = await ofTwo(held);
  await until('the choice is made, and leaves it', () => to.connections === 0);
  to.calls = 'silence';
  const calls = Array.from({ length: MANY }, read);
  const answers = calls.map((call) => visit(cluster, call));
  await until('all are there', () => to.count(KV.Range.path) === MANY);
  assert.equal(to.connections, 1);
  // One that is given up takes none of the others along.
  calls[0]?.cancel();
  assert.equal(await answers[0], undefined);
  await until('it is given up there too', () => to.seen.some(({ cancelled }) => cancelled));
  assert.equal(to.connections, 1);
  assert.deepEqual(await Promise.all(answers), Array(MANY).fill(undefined));
  await until('it is closed', () => to.connections === 0);
  to.calls = 'serve';
  assert.deepEqual(await visit(cluster), to.reply());
});

test('a connection that answers nothing is for nobody who comes later', async () => {
  await using held = new AsyncDisposableStack();
  const { cluster, to } = await ofTwo(held);
  await until('the choice is made, and leaves it', () => to.connections === 0);
  to.calls = 'silence';
  const first = visit(cluster);
  await until('it is there', () => to.count(KV.Range.path) === 1);
  // The first one, which is given up after a second, was there before; the second is not given up with it.
  await sleep(100);
  const second = visit(cluster);
  await until('the other one is there', () => to.count(KV.Range.path) === 2);
  assert.equal(to.connections, 1);
  to.deaf.add(connectionOf(to, KV.Range));
  to.calls = 'serve';
  assert.equal(await first, undefined);
  assert.deepEqual(await visit(cluster), to.reply());
  assert.equal(await second, undefined);
});

test('an endpoint that could not be connected is not dialled for each read', async () => {
  await using held = new AsyncDisposableStack();
  const member = held.use(await ScriptedEtcd.start());
  let dialled = 0;
  const refusing = createServer((socket) => {
    dialled++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  held.defer(() => void refusing.close());
  await once(refusing, 'listening');
  const { port } = refusing.address() as AddressInfo;
  const { cluster } = connectTo([member, { address: `127.0.0.1:${port}` }]);
  held.defer(() => cluster.close());
  await inUse(cluster);
  const before = dialled;
  for (let i = 0; i < MANY; i++) assert.equal(await visit(cluster), undefined);
  assert.ok(dialled - before <= 3, `${dialled - before} times`);
});

test('a close ends them', async () => {
  await using held = new AsyncDisposableStack();
  const { cluster, to } = await ofTwo(held);
  to.calls = 'silence';
  const answer = visit(cluster);
  await until('it is there', () => to.count(KV.Range.path) === 1);
  cluster.close();
  assert.equal(await answer, undefined);
  await until('the connection is closed', () => to.connections === 0);
});
