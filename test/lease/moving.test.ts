/** Clients of one user with a scripted etcd: with whose token their heartbeats go, and who goes on without the others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { clientIdentityOf } from '../../src/clients/identity.ts';
import { TokenUsers } from '../../src/clients/token-users.ts';
import { Lease } from '../../src/etcd/methods.ts';
import { ClientLine } from '../../src/lease/client-line.ts';
import { Heartbeat } from '../../src/lease/heartbeat.ts';
import { Leases } from '../../src/lease/leases.ts';
import { leaseService } from '../../src/lease/service.ts';
import { TICK_MS } from '../../src/lease/ticker.ts';
import { ITSELF } from '../../src/rpc/client.ts';
import type { Call, ClientStream, ClientStreamListener } from '../../src/rpc/contract.ts';
import { Metadata, NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { Caller } from './caller.ts';
import { Hearer, ScriptedEtcd, type ScriptedStream } from './scripted.ts';

/** With so many that are no good one after the other, each client is judged by its own. */
const MOST_TOKENS = 8;

const BAD = new RpcError(Code.UNAUTHENTICATED, 'etcdserver: invalid auth token');

/** One that knows tokens. */
class Tokens extends ScriptedEtcd {
  /** The token of each stream. */
  readonly shown: string[] = [];
  readonly bad = new Set<string>();
  isDown = false;
  /** Tokens that it was asked about. */
  readonly asked: string[] = [];

  override stream(call: Call, listener: ClientStreamListener): ClientStream {
    this.shown.push(call.metadata.get('token') ?? '');
    return super.stream(call, listener);
  }

  override unary(_request?: Uint8Array, call?: Call): never {
    const token = call?.metadata.get('token') ?? '';
    this.asked.push(token);
    if (this.isDown) throw new RpcError(Code.UNAVAILABLE, 'down');
    // Whoever may read nothing has a token all the same.
    throw this.bad.has(token) ? BAD : new RpcError(Code.PERMISSION_DENIED, 'etcdserver: permission denied');
  }

  /** Refuses the token of a stream. */
  refuse(stream: ScriptedStream): void {
    stream.listener.onEnd(BAD, NO_METADATA);
  }

  last(token: string): ScriptedStream {
    return this.streams[this.shown.lastIndexOf(token)] as ScriptedStream;
  }
}

function scene() {
  const etcd = new Tokens();
  const users = new TokenUsers();
  const leases = new Leases(etcd, users);
  const serve = leaseService(leases, etcd, { add: () => {}, remove: () => {} });
  /** @param atOnce is done before etcd has said anything */
  const open = async (token: string, atOnce = (_: Caller): void => {}): Promise<Caller> => {
    const caller = new Caller();
    const metadata = new Metadata(['token', token]);
    serve(caller, new OwnCall(Lease.LeaseKeepAlive, metadata, Number.POSITIVE_INFINITY, { ...ITSELF }));
    atOnce(caller);
    await setImmediate();
    return caller;
  };
  const openAll = async (count: number): Promise<Caller[]> => {
    const callers: Caller[] = [];
    for (let i = 0; i < count; i++) {
      users.learn('ann', `${i}`);
      callers.push(await open(`${i}`));
    }
    return callers;
  };
  return { etcd, users, leases, open, openAll };
}

const replies = (callers: readonly Caller[]) => callers.map((caller) => caller.replies);

test('a token that etcd does not take leaves the others in peace, with what they have asked', async () => {
  const { etcd, users, leases, openAll } = scene();
  const [first, second, third] = (await openAll(3)) as [Caller, Caller, Caller];
  first.beat(1n, 2n, 7n);
  second.beat(3n, 4n);
  third.beat(5n);
  etcd.last('0').answer(1);
  assert.deepEqual(etcd.shown, ['0']);
  etcd.refuse(etcd.last('0'));
  assert.deepEqual(etcd.shown.toSorted(), ['0', '0', '1']);
  assert.equal(users.userOf('0'), undefined);
  // Its client goes on by itself, and hears what etcd says of its token.
  assert.equal(etcd.last('0').sent.length, 2, 'all that it has asked and not heard');
  etcd.refuse(etcd.last('0'));
  assert.equal(first.status, BAD);
  etcd.last('1').answer(3);
  assert.deepEqual(replies([first, second, third]), [1, 2, 1]);
  assert.deepEqual([second.status, third.status], [undefined, undefined]);
  // The next one is the third one's.
  second.listener.onCancel();
  third.beat(6n);
  etcd.refuse(etcd.last('1'));
  etcd.last('2').answer(1);
  assert.deepEqual(replies([third]), [2]);
  leases.close();
});

test('where many tokens are no good one after the other, each client is judged by its own', async () => {
  const { etcd, leases, openAll } = scene();
  const callers = await openAll(20);
  for (const [i, caller] of callers.entries()) caller.beat(BigInt(i + 1));
  for (let i = 0; i < MOST_TOKENS; i++) etcd.refuse(etcd.last(`${i}`));
  assert.equal(new Set(etcd.shown).size, 20);
  for (let i = 0; i < 20; i++) {
    if (i < 15) etcd.refuse(etcd.last(`${i}`));
    else etcd.last(`${i}`).answer(1);
    assert.deepEqual([callers[i]?.status, callers[i]?.replies], i < 15 ? [BAD, 0] : [undefined, 1], `${i}`);
  }
  assert.equal(etcd.streams.length, 28);
  assert.equal(leases.stats.limits.tokens, 1);
  leases.close();
});

test('a token that ends on all of many streams is one token that is no good', async () => {
  const { etcd, leases, openAll } = scene();
  const callers = await openAll(10);
  for (const [i, caller] of callers.entries())
    for (let n = 1; n <= 200; n++) caller.beat(BigInt(1000 * i + n));
  const carriers = leases.of(clientIdentityOf(new Metadata(['token', '0'])));
  for (let tick = 0; tick < 40; tick++) {
    for (const stream of etcd.streams) if (stream.answered < stream.sent.length) stream.answer(1);
    carriers.onTick(TICK_MS);
  }
  const all = [...etcd.streams];
  assert.ok(all.length > MOST_TOKENS, `${all.length} streams`);
  assert.deepEqual(new Set(etcd.shown), new Set(['0']));
  for (const stream of all) etcd.refuse(stream);
  assert.equal(leases.stats.limits.tokens, 0);
  assert.deepEqual([...new Set(etcd.shown.slice(all.length))].toSorted(), ['0', '1']);
  for (const stream of etcd.streams.slice(all.length))
    while (stream.answered < stream.sent.length) stream.answer(1);
  assert.deepEqual(new Set(replies(callers)), new Set([200]));
  leases.close();
});

test('etcd is asked before a client shares: whose token is no good has its own stream, and so it is where etcd is silent', async () => {
  const { etcd, users, leases, open, openAll } = scene();
  await openAll(2);
  users.learn('ann', 'bad');
  etcd.bad.add('bad');
  const bad = await open('bad');
  bad.beat(1n);
  assert.deepEqual(etcd.shown, ['bad']);
  users.learn('ann', 'late');
  etcd.isDown = true;
  const late = await open('late');
  late.beat(1n);
  assert.deepEqual(etcd.shown, ['bad', 'late']);
  assert.equal(users.userOf('late'), 'ann', 'nothing was said against it');
  leases.close();
});

test('what a client sends before etcd has said whether it takes the token waits, in order', async () => {
  const { etcd, users, leases, open } = scene();
  users.learn('ann', 'a');
  const opening = open('a');
  const caller = await opening;
  caller.beat(1n, 2n);
  users.learn('ann', 'b');
  const eager = open('b');
  assert.deepEqual(etcd.asked, ['a', 'b']);
  const other = await eager;
  other.beat(3n);
  etcd.last('a').answer(3);
  assert.deepEqual(replies([caller, other]), [2, 1]);
  other.listener.onHalfClose();
  assert.equal(other.status?.code, Code.OK);
  leases.close();
});

test('nothing is kept for a client that is gone before etcd has said whether it takes the token', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { etcd, users, leases, open } = scene();
  etcd.isDown = true;
  for (let i = 0; i < 50; i++) {
    users.learn('ann', `${i}`);
    await open(`${i}`, (caller) => caller.listener.onCancel());
  }
  etcd.isDown = false;
  await open('0', (caller) => caller.listener.onCancel());
  assert.equal(leases.stats.clientStreams, 0);
  t.mock.timers.tick(5_000);
  assert.equal(leases.size, 0);
  leases.close();
});

test('every minute etcd is asked again, about those who are there', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { etcd, leases, openAll } = scene();
  const callers = await openAll(3);
  callers[2]?.listener.onCancel();
  etcd.asked.length = 0;
  t.mock.timers.tick(59_000);
  assert.deepEqual(etcd.asked, []);
  etcd.bad.add('1');
  t.mock.timers.tick(3_000);
  await setImmediate();
  assert.deepEqual(etcd.asked, ['0', '1']);
  for (const caller of callers.slice(0, 2)) caller.beat(1n);
  assert.deepEqual(etcd.shown.toSorted(), ['0', '1'], 'it goes on by itself');
  etcd.isDown = true;
  t.mock.timers.tick(62_000);
  await setImmediate();
  callers[0]?.beat(2n);
  assert.equal(etcd.asked.length, 3);
  assert.equal(etcd.shown.length, 2, 'an etcd that says nothing changes nothing');
  leases.close();
});

test('a user who is another one now shares with none of before', async () => {
  const { etcd, users, leases, open, openAll } = scene();
  const [before] = (await openAll(1)) as [Caller];
  before.beat(1n);
  users.forgetUser('ann');
  users.learn('ann', 'new');
  const now = await open('new');
  now.beat(2n);
  before.beat(3n);
  // The stream that is there is refused, as the token of before is.
  etcd.refuse(etcd.streams[0] as ScriptedStream);
  assert.equal(etcd.last('new').sent.length, 1);
  assert.equal(etcd.last('0').sent.length, 2);
  etcd.last('new').answer(1);
  etcd.refuse(etcd.last('0'));
  assert.deepEqual([before.status, before.replies], [BAD, 0]);
  assert.deepEqual([now.status, now.replies], [undefined, 1]);
  leases.close();
});

test('what was answered before its turn keeps its place among what is sent again', () => {
  const line = new ClientLine();
  const owner = new Hearer();
  const heartbeats = [1, 2, 3].map((low) => new Heartbeat({ low, high: 0 }, owner));
  for (const heartbeat of heartbeats) line.push(heartbeat);
  const early = heartbeats[1] as Heartbeat;
  early.reply = new Uint8Array(1);
  assert.equal(line.renew(owner), line.first);
  const now: Heartbeat[] = [];
  for (let each = line.first; each !== undefined; each = each.next) now.push(each);
  assert.deepEqual(
    now.map(({ low }) => low),
    [1, 2, 3],
  );
  assert.deepEqual([now[1] === early, now[0]?.owner, heartbeats[0]?.owner], [true, owner, undefined]);
});
