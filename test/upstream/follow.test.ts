/** The list of endpoints changes while the pool works: in use, asked, unused, or all of them gone. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http2';
import { type AddressInfo, Socket } from 'node:net';
import { describe, test } from 'node:test';
import { KV, Watch } from '../../src/etcd/methods.ts';
import { NO_LEADER } from '../../src/etcd/words.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import type { Method } from '../../src/rpc/method.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { EndpointOrder } from '../../src/upstream/endpoint-order.ts';
import { until } from '../support/until.ts';
import { ChangingEndpoints } from './changing-endpoints.ts';
import { PATIENT, Stream } from './client.ts';
import { clientOptions, ScriptedEtcd } from './scripted-etcd.ts';

const EMPTY = new Uint8Array(0);
const SOON_MS = 15_000;
const LEADERLESS = new RpcError(Code.UNAVAILABLE, NO_LEADER);

function call(cluster: ClusterClient, { path }: Method, ms = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
  const method = path === KV.Put.path ? KV.Put : KV.Range;
  return cluster.unary(EMPTY, new OwnCall(method, NO_METADATA, performance.now() + ms));
}

/** Members, of which the source knows some, and a cluster client. */
async function setUp(held: AsyncDisposableStack, known: number, options: { dialTimeout?: number } = {}) {
  const members: ScriptedEtcd[] = [];
  for (let i = 0; i < 3; i++) members.push(held.use(await ScriptedEtcd.start()));
  const source = new ChangingEndpoints(members.slice(0, known).map(({ address }) => address));
  const { options: usual, heard } = clientOptions(members);
  const cluster = new ClusterClient({ ...usual, ...PATIENT, ...options, source });
  held.defer(() => cluster.close());
  cluster.start();
  if (known > 0) await until('an endpoint is in use', () => cluster.current !== undefined);
  const inUse = (): ScriptedEtcd =>
    members.find(({ address }) => address === cluster.current?.name) as ScriptedEtcd;
  const isUsed = (member: ScriptedEtcd | undefined) =>
    until('it is in use', () => cluster.current?.name === member?.address, SOON_MS);
  return { members, source, cluster, heard, inUse, isUsed };
}

describe('a list of endpoints that changes', () => {
  test('calls wait while it is empty, and go on with the first one', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, isUsed } = await setUp(held, 0);
    const waiting = call(cluster, KV.Range);
    source.become(members[0] as ScriptedEtcd);
    await waiting;
    await isUsed(members[0]);
  });

  test('calls fail after a while where it stays empty, and say why', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster } = await setUp(held, 0, { dialTimeout: 200 });
    await assert.rejects(call(cluster, KV.Range), /no connection to etcd: no endpoint is known/);
  });

  test('a new endpoint is used when the one in use fails', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, heard, isUsed } = await setUp(held, 1);
    const [first, second] = members as [ScriptedEtcd, ScriptedEtcd];
    source.become(first, second);
    await until('its health is watched, now that there is another one', () => first.health !== undefined);
    first.calls = LEADERLESS;
    first.question = LEADERLESS;
    await call(cluster, KV.Range);
    await isUsed(second);
    assert.equal(heard.switches.length, 1);
    assert.equal(heard.switches[0], 'unserving');
  });

  test('a new endpoint is tried at once when none could be connected', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, isUsed } = await setUp(held, 0);
    source.become({ address: '127.0.0.1:1' });
    const waiting = call(cluster, KV.Range);
    source.become({ address: '127.0.0.1:1' }, members[2] as ScriptedEtcd);
    await waiting;
    await isUsed(members[2]);
  });

  test('what is no etcd is not used, also while there is no other', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, isUsed } = await setUp(held, 0);
    const [none, etcd] = members as [ScriptedEtcd, ScriptedEtcd];
    none.calls = none.question = new RpcError(Code.UNIMPLEMENTED, 'unexpected HTTP status code: 404');
    source.become({ address: '127.0.0.1:1' }, none);
    await until('it is asked', () => none.seen.length > 1, SOON_MS);
    assert.equal(cluster.current, undefined);
    const waiting = call(cluster, KV.Put);
    source.become({ address: '127.0.0.1:1' }, none, etcd);
    await waiting;
    await isUsed(etcd);
  });

  test('what a web server refuses is no sign that it serves', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, isUsed } = await setUp(held, 0);
    const etcd = members[0] as ScriptedEtcd;
    const web = createServer((_, response) => response.writeHead(403).end()).listen(0, '127.0.0.1');
    held.defer(() => void web.close());
    await once(web, 'listening');
    const address = `127.0.0.1:${(web.address() as AddressInfo).port}`;
    source.become({ address: '127.0.0.1:1' }, { address });
    await until('it is in use for want of a better', () => cluster.current?.name === address, SOON_MS);
    source.become({ address: '127.0.0.1:1' }, { address }, etcd);
    await isUsed(etcd);
  });

  test('one that was taken for want of a better is left for one that serves, without a call that fails', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, inUse, isUsed } = await setUp(held, 0);
    const [first, second] = members as [ScriptedEtcd, ScriptedEtcd];
    first.question = second.question = new RpcError(Code.INTERNAL, 'no member says that');
    source.become(first, second);
    const taken = await until('one is in use', inUse, SOON_MS);
    const other = taken === first ? second : first;
    other.question = 'serve';
    await isUsed(other);
  });

  test('the one in use is left when it is gone, and calls under way end there', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, heard, inUse } = await setUp(held, 3);
    const left = inUse();
    left.calls = 'silence';
    let ended = false;
    void call(cluster, KV.Put, 20_000).catch(() => {
      ended = true; // by the end of the client, since the member keeps silent
    });
    await until('the write is under way', () => left.count(KV.Put.path) === 1);
    void new Stream(cluster, Watch.Watch);
    await until('a watch is open', () => left.messages.some(({ path }) => path === Watch.Watch.path));
    source.become(...members.filter((member) => member !== left));
    await until('another one is in use', () => inUse() !== left, SOON_MS);
    assert.deepEqual(heard.switches, ['removed']);
    assert.equal(ended, false);
    assert.equal(members.filter((member) => member.count(KV.Put.path) > 0).length, 1);
    await call(cluster, KV.Range);
    assert.equal(left.count(KV.Range.path), 0);
    const resumed = ({ messages }: ScriptedEtcd): boolean =>
      messages.some(({ path }) => path === Watch.Watch.path);
    await until('the watch, which has no answer yet, is asked elsewhere', () => resumed(inUse()), SOON_MS);
  });

  test('the one in use stays when it is gone and no other one serves', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, heard, inUse } = await setUp(held, 3);
    const kept = inUse();
    const others = members.filter((member) => member !== kept);
    for (const other of others) other.question = LEADERLESS;
    source.become(...others);
    await until('they were asked', () => heard.asked.includes('stay'), SOON_MS);
    await call(cluster, KV.Range);
    assert.equal(inUse(), kept);
    for (const other of others) other.question = 'serve';
    await until('one that is in the list is in use', () => inUse() !== kept, SOON_MS);
    assert.deepEqual(heard.switches, ['removed']);
  });

  test('the one in use stays when the list has become empty', async () => {
    await using held = new AsyncDisposableStack();
    const { source, cluster, heard, inUse } = await setUp(held, 3);
    const kept = inUse();
    source.become();
    await call(cluster, KV.Range);
    assert.equal(inUse(), kept);
    assert.deepEqual(heard.switches, []);
  });

  test('a survey under way asks who is new, and forgets who is gone', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, inUse, isUsed } = await setUp(held, 2);
    const [first, second, third] = members as [ScriptedEtcd, ScriptedEtcd, ScriptedEtcd];
    const used = inUse();
    const other = used === first ? second : first;
    used.calls = used.question = 'silence';
    other.question = 'silence';
    const read = call(cluster, KV.Range);
    await until('the others are asked', () => other.seen.some(({ hasLeader }) => hasLeader), SOON_MS);
    source.become(used, third);
    await read;
    await isUsed(third);
    await until('the one that is gone is let go', () => other.connections === 0, SOON_MS);
  });

  test('whoever is asked alone is asked in earnest when others come', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, isUsed } = await setUp(held, 0);
    const [first, second] = members as [ScriptedEtcd, ScriptedEtcd];
    first.question = LEADERLESS;
    source.become(first);
    await new Promise((resolve) => setImmediate(resolve));
    source.become(first, second);
    await call(cluster, KV.Range);
    await isUsed(second);
  });

  test('whoever comes after the only one, which is gone, is asked at once', async () => {
    await using held = new AsyncDisposableStack();
    const dialled: string[] = [];
    const { options } = clientOptions([]);
    const source = new ChangingEndpoints(['https://127.0.0.1:1']);
    const tls = {
      connect: (_target: unknown, serverName: string) => {
        dialled.push(serverName);
        return new Socket();
      },
    };
    const cluster = new ClusterClient({ ...options, source, tls });
    held.defer(() => cluster.close());
    cluster.start();
    source.become();
    source.become({ address: 'https://later.test:1' });
    assert.deepEqual(dialled, ['127.0.0.1', 'later.test']);
  });

  test('lists that change all the time do no harm', async () => {
    await using held = new AsyncDisposableStack();
    const { members, source, cluster, inUse } = await setUp(held, 3);
    for (let round = 0; round < 300; round++) {
      const some = members.filter(() => Math.random() < 0.6);
      const calls = round % 3 === 0 && some.length > 0;
      source.become(...some);
      if (calls) await call(cluster, KV.Range);
      if (round % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (round % 50 === 0) inUse()?.goAway();
    }
    source.become(...members);
    await call(cluster, KV.Range);
  });

  test('the source is closed with the client', async () => {
    await using held = new AsyncDisposableStack();
    const { source, cluster } = await setUp(held, 1);
    cluster.close();
    assert.ok(source.closed);
    source.become();
  });
});

describe('the order of endpoints', () => {
  const of = (...names: string[]) => names.map(parseEndpoint);

  test('an endpoint that stays keeps its object and its rest, however it is written', () => {
    const order = new EndpointOrder();
    const [a, b] = of('10.0.0.1:2379', '10.0.0.2:2379') as [never, never];
    assert.equal(order.follow([a, b], undefined), true);
    order.onFailed(a);
    assert.equal(order.follow(of('http://10.0.0.1:2379', '10.0.0.3', '10.0.0.3:2379'), undefined), true);
    assert.equal(order.size, 2);
    const [first, last] = order.all();
    assert.equal(first?.name, '10.0.0.3:2379');
    assert.equal(last, a);
    assert.equal(order.follow(of('10.0.0.1:2379'), undefined), false);
  });

  test('an endpoint that is gone is forgotten with its rest', () => {
    const order = new EndpointOrder();
    const [a, b] = of('10.0.0.1:2379', '10.0.0.2:2379') as [never, never];
    order.follow([a, b], undefined);
    order.onFailed(a);
    order.follow([b], undefined);
    order.onFailed(a);
    order.follow([a, b], undefined);
    const firsts = new Set(Array.from({ length: 100 }, () => order.all()[0]));
    assert.equal(firsts.size, 2);
  });

  test('the one in use is known again when it comes back', () => {
    const order = new EndpointOrder();
    const [a, b] = of('10.0.0.1:2379', '10.0.0.2:2379') as [never, never];
    order.follow([a, b], undefined);
    order.follow([b], a);
    order.follow(of('10.0.0.1:2379', '10.0.0.2:2379'), a);
    assert.ok(order.has(a));
    assert.deepEqual(order.all(a).at(-1), a);
  });
});
