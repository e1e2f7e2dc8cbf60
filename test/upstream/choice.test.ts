/** Which endpoint is used, and when it is left: by what members say and do not say. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LEADER_CHANGED, NO_LEADER } from '../../src/etcd/words.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import type { ClusterClient } from '../../src/upstream/cluster-client.ts';
import { until } from '../support/until.ts';
import { connectTo, method, ScriptedEtcd } from './scripted-etcd.ts';

const RANGE = '/etcdserverpb.KV/Range';
const PUT = '/etcdserverpb.KV/Put';
const EMPTY = new Uint8Array(0);
const LEARNER = new RpcError(Code.UNAVAILABLE, 'etcdserver: rpc not supported for learner');
const LEADERLESS = new RpcError(Code.UNAVAILABLE, NO_LEADER);
const TIMED_OUT = new RpcError(Code.UNAVAILABLE, 'etcdserver: request timed out');

/** Moving takes 2 or 3 s, on a busy machine more; nobody waits for the end of a time-out of a connection. */
const SOON_MS = 15_000;

/** Makes a call as a client would, without a deadline. */
function call(cluster: ClusterClient, path: string, request = EMPTY): Promise<Uint8Array> {
  return cluster.unary(request, new OwnCall(method(path), NO_METADATA, Number.POSITIVE_INFINITY));
}

/** Members, and a cluster client that uses one of them. */
async function setUp(held: AsyncDisposableStack, prepare: (members: ScriptedEtcd[]) => void = () => {}) {
  const members: ScriptedEtcd[] = [];
  for (let i = 0; i < 3; i++) members.push(held.use(await ScriptedEtcd.start()));
  prepare(members);
  const { cluster, heard } = connectTo(members);
  held.defer(() => cluster.close());
  await until('an endpoint is in use', () => cluster.current !== undefined);
  const inUse = (): ScriptedEtcd =>
    members.find(({ address }) => address === cluster.current?.name) as ScriptedEtcd;
  const others = (): ScriptedEtcd[] => members.filter((member) => member !== inUse());
  return { members, cluster, heard, inUse, others };
}

describe('the choice of an endpoint', () => {
  test('falls on one that serves', async () => {
    for (const refusal of [LEARNER, LEADERLESS, new RpcError(Code.UNIMPLEMENTED, 'what is this?')]) {
      await using held = new AsyncDisposableStack();
      const { inUse, members } = await setUp(held, ([first, second]) => {
        if (first && second) first.question = second.question = refusal;
      });
      assert.equal(inUse(), members[2]);
      await until('the others are let go', () => members[0]?.connections === 0, SOON_MS);
    }
  });

  test('takes a refusal for lack of credentials for an answer', async () => {
    await using held = new AsyncDisposableStack();
    const { inUse, members } = await setUp(held, ([first, second, third]) => {
      if (first && second) first.question = second.question = LEADERLESS;
      if (third) third.question = new RpcError(Code.INVALID_ARGUMENT, 'etcdserver: user name is empty');
    });
    assert.equal(inUse(), members[2]);
  });

  test('falls on the cluster that most endpoints belong to', async () => {
    for (let round = 0; round < 5; round++) {
      await using held = new AsyncDisposableStack();
      const stranger = held.use(await ScriptedEtcd.start(9));
      const own = [held.use(await ScriptedEtcd.start()), held.use(await ScriptedEtcd.start())];
      const { cluster } = connectTo([stranger, ...own]);
      held.defer(() => cluster.close());
      await until('an endpoint is in use', () => cluster.current !== undefined);
      assert.notEqual(cluster.current?.name, stranger.address);
      // The only one left besides: now it is the stranger, or nobody.
      const used = own.find(({ address }) => address === cluster.current?.name);
      await used?.[Symbol.asyncDispose]();
      await until(
        'moved',
        () => cluster.current !== undefined && cluster.current.name !== used?.address,
        SOON_MS,
      );
      assert.notEqual(cluster.current?.name, stranger.address);
      await used?.listen();
    }
  });

  test('falls on another cluster only as long as there is nobody else', async () => {
    await using held = new AsyncDisposableStack();
    const stranger = held.use(await ScriptedEtcd.start(9));
    const own = [await ScriptedEtcd.start(), await ScriptedEtcd.start()];
    const { cluster } = connectTo([stranger, ...own]);
    held.defer(() => cluster.close());
    await until('an endpoint is in use', () => cluster.current !== undefined);
    for (const member of own) await member[Symbol.asyncDispose]();
    await until(
      'the stranger is better than nobody',
      () => cluster.current?.name === stranger.address,
      SOON_MS,
    );
    for (const member of own) held.use(member);
    for (const member of own) await member.listen();
    await until(
      'one of its own is back',
      () => own.some(({ address }) => address === cluster.current?.name),
      SOON_MS,
    );
  });

  test('falls on another cluster for good when most endpoints belong to it', async () => {
    await using held = new AsyncDisposableStack();
    const old = [await ScriptedEtcd.start(), await ScriptedEtcd.start()];
    const { cluster, heard } = connectTo(old);
    held.defer(() => cluster.close());
    await until('an endpoint is in use', () => cluster.current !== undefined);
    for (const member of old) await member[Symbol.asyncDispose]();
    const anew: ScriptedEtcd[] = [];
    for (const { address } of old) anew.push(held.use(await ScriptedEtcd.start(9, 1000, address)));
    await until('the cluster was built anew', () => cluster.current !== undefined);
    const used = anew.find(({ address }) => address === cluster.current?.name);
    assert.ok(used);
    const before = heard.switches.length;
    used.calls = used.question = 'silence';
    await call(cluster, RANGE);
    assert.equal(heard.switches.length, before + 1);
  });

  test('does not wait for one that only accepts connections', async () => {
    await using held = new AsyncDisposableStack();
    const deaf = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1'); // it is cut in the end
    await once(deaf, 'listening');
    held.defer(() => void deaf.close());
    const address = `127.0.0.1:${(deaf.address() as AddressInfo).port}`;
    const member = held.use(await ScriptedEtcd.start());
    const { cluster } = connectTo([{ address }, member], { dialTimeout: 60_000 });
    held.defer(() => cluster.close());
    await until('the other one is in use', () => cluster.current?.name === member.address);
  });

  test('falls on one that is there when nobody serves, a learner last', async () => {
    await using held = new AsyncDisposableStack();
    const { inUse, members } = await setUp(held, ([first, second, third]) => {
      if (first && second) first.question = second.question = LEARNER;
      if (third) third.question = 'silence';
    });
    assert.equal(inUse(), members[2]);
  });
});

describe('an endpoint that leaves calls unanswered', () => {
  test('is left when another one serves: reads are asked there, writes end where they are', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard, inUse } = await setUp(held);
    const hung = inUse();
    hung.calls = hung.question = 'silence';
    const write = call(cluster, PUT);
    await call(cluster, RANGE);
    assert.notEqual(inUse(), hung);
    assert.equal(heard.switches.length, 1);
    assert.equal(inUse().count(RANGE), 1);
    assert.equal(inUse().count(PUT), 0);
    assert.equal(hung.count(PUT), 1);
    assert.equal(
      hung.seen.some(({ path, cancelled }) => path === PUT && cancelled),
      false,
    );
    assert.equal(
      await Promise.race([
        write.then(
          () => 'over',
          () => 'over',
        ),
        sleep(50, 'waits'),
      ]),
      'waits',
    );
  });

  test('is left also where clients give up sooner', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, inUse } = await setUp(held);
    const hung = inUse();
    hung.calls = hung.question = 'silence';
    const left = async (): Promise<boolean> => {
      const get = new OwnCall(method(RANGE), NO_METADATA, performance.now() + 200);
      await get.inTime(cluster.unary(EMPTY, get)).catch(() => {}); // it gave up, which is what is tested
      return inUse() !== hung;
    };
    await until('it is left', left, SOON_MS);
  });

  test('stays when it serves, however long the call takes', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard, inUse } = await setUp(held);
    const slow = inUse();
    slow.calls = 'silence';
    const get = new OwnCall(method(RANGE), NO_METADATA, Number.POSITIVE_INFINITY);
    const reply = cluster.unary(EMPTY, get);
    await until('asked twice', () => heard.asked.filter((verdict) => verdict === 'stay').length >= 2);
    assert.equal(inUse(), slow);
    assert.equal(heard.switches.length, 0);
    get.cancel();
    await assert.rejects(reply, { code: Code.CANCELLED });
  });

  test('stays when nobody serves, and is asked less and less often', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard, members, inUse } = await setUp(held);
    const first = inUse();
    for (const member of members) member.calls = member.question = 'silence';
    const get = new OwnCall(method(RANGE), NO_METADATA, performance.now() + 6000);
    await assert.rejects(get.inTime(cluster.unary(EMPTY, get)), {
      code: Code.DEADLINE_EXCEEDED,
      message: 'etcd-connect-proxy: no answer of etcd within 6 s',
    });
    assert.equal(inUse(), first);
    assert.equal(heard.switches.length, 0);
    assert.ok(heard.asked.length <= 5, `asked ${heard.asked.length} times in 6 s`);
  });

  test('is not blamed for what this process did not read in time', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard } = await setUp(held);
    const before = heard.asked.length;
    const reply = call(cluster, RANGE);
    const busyUntil = performance.now() + 2500;
    while (performance.now() < busyUntil);
    await reply;
    await sleep(500); // nothing may happen
    assert.equal(heard.asked.length, before);
  });

  test('is noticed while clients only follow', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, inUse } = await setUp(held);
    const hung = inUse();
    const watch = new OwnCall(method('/etcdserverpb.Watch/Watch'), NO_METADATA, Number.POSITIVE_INFINITY);
    const ended = Promise.withResolvers<number>();
    const answered = Promise.withResolvers<void>();
    const stream = cluster.stream(watch, {
      onHeaders: () => {},
      onMessage: () => answered.resolve(),
      onDrain: () => {},
      onEnd: ({ code }) => ended.resolve(code),
    });
    stream.send(EMPTY);
    await until('the watch is there', () => hung.messages.length === 1);
    hung.messages[0]?.stream.send(hung.reply());
    await answered.promise; // what follows cannot be opened again unnoticed
    hung.question = 'silence';
    assert.equal(
      await Promise.race([ended.promise, sleep(15_000, 'never', { ref: false })]),
      Code.UNAVAILABLE,
    );
    assert.notEqual(inUse(), hung);
  });
});

describe('an endpoint that says NOT_SERVING', () => {
  test('is left at once when another one serves', async () => {
    await using held = new AsyncDisposableStack();
    const { inUse } = await setUp(held);
    const defragmenting = inUse();
    await until('its health is watched', () => defragmenting.health !== undefined);
    defragmenting.health?.send(Buffer.of(0x08, 1));
    defragmenting.question = 'silence';
    await sleep(300); // nothing has been said against it
    assert.equal(inUse(), defragmenting);
    defragmenting.health?.send(Buffer.of(0x08, 2));
    await until('left', () => inUse() !== defragmenting, SOON_MS);
  });
});

describe('a refusal that may be the member’s', () => {
  test('makes the proxy ask elsewhere, also for a write that had no effect', async () => {
    for (const refusal of [LEADERLESS, LEARNER]) {
      await using held = new AsyncDisposableStack();
      const { cluster, heard, inUse } = await setUp(held);
      const unfit = inUse();
      unfit.calls = unfit.question = refusal;
      await Promise.all([call(cluster, PUT), call(cluster, RANGE)]);
      assert.notEqual(inUse(), unfit);
      assert.equal(heard.switches.length, 1);
      assert.equal(inUse().count(PUT), 1);
    }
  });

  test('does not make it send a write of unknown fate again, but leaves the member', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, inUse, others } = await setUp(held);
    const unfit = inUse();
    unfit.calls = TIMED_OUT;
    unfit.question = LEADERLESS;
    await assert.rejects(call(cluster, PUT), { code: Code.UNAVAILABLE, message: TIMED_OUT.message });
    await until('left', () => inUse() !== unfit, SOON_MS);
    assert.equal(
      others().reduce((sum, member) => sum + member.count(PUT), 0),
      1,
    );
    await call(cluster, RANGE);
  });

  test('is the client’s when nobody serves', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard, members } = await setUp(held);
    for (const member of members) member.calls = member.question = LEADERLESS;
    await assert.rejects(call(cluster, RANGE), { code: Code.UNAVAILABLE, message: NO_LEADER });
    await assert.rejects(call(cluster, PUT), { code: Code.UNAVAILABLE, message: NO_LEADER });
    assert.equal(heard.switches.length, 0);
  });

  test('is not looked into where it is about the call', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard, inUse } = await setUp(held);
    const before = heard.asked.length;
    inUse().calls = new RpcError(Code.OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted');
    await assert.rejects(call(cluster, RANGE), { code: Code.OUT_OF_RANGE });
    inUse().calls = new RpcError(Code.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded');
    await assert.rejects(call(cluster, PUT), { code: Code.RESOURCE_EXHAUSTED });
    assert.equal(heard.asked.length, before);
  });

  test('that an election gave is asked again at once', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, heard, inUse } = await setUp(held);
    const before = heard.asked.length;
    const member = inUse();
    member.calls = new RpcError(Code.UNAVAILABLE, LEADER_CHANGED);
    member.onAnswering = (isQuestion) => {
      if (!isQuestion) member.calls = 'serve';
    };
    await call(cluster, RANGE);
    assert.equal(member.count(RANGE), 2);
    assert.equal(heard.asked.length, before);
  });
});

describe('calls that last', () => {
  const LEASE_REQUEST = Buffer.of(0x08, 5);

  test('heartbeats without an answer are sent again, once each', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, inUse } = await setUp(held);
    const path = '/etcdserverpb.Lease/LeaseKeepAlive';
    const hung = inUse();
    const answers: Uint8Array[] = [];
    const stream = cluster.stream(new OwnCall(method(path), NO_METADATA, Number.POSITIVE_INFINITY), {
      onHeaders: () => {},
      onMessage: (message) => answers.push(message),
      onDrain: () => {},
      onEnd: () => assert.fail('the stream goes on'),
    });
    stream.send(LEASE_REQUEST);
    await until('the heartbeat is there', () => hung.messages.length === 1);
    hung.messages[0]?.stream.send(hung.reply());
    await until('it was answered', () => answers.length === 1);
    hung.question = 'silence';
    stream.send(LEASE_REQUEST);
    stream.send(LEASE_REQUEST);
    await until('both are sent elsewhere', () => inUse() !== hung && inUse().messages.length === 2, SOON_MS);
    inUse().messages[0]?.stream.send(inUse().reply());
    inUse().messages[1]?.stream.send(inUse().reply());
    await until('both are answered', () => answers.length === 3);
    stream.cancel();
  });

  test('a Lock with a lease waits elsewhere, and is not cancelled where it was', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, inUse } = await setUp(held);
    const hung = inUse();
    hung.calls = hung.question = 'silence';
    const path = '/v3lockpb.Lock/Lock';
    // LockRequest{name: "n", lease: 5}, and one without a lease, which would be another lock each time.
    const lock = call(cluster, path, Buffer.of(0x0a, 1, 0x6e, 0x10, 5));
    const nameless = call(cluster, path, Buffer.of(0x0a, 1, 0x6e));
    await until('both wait', () => hung.count(path) === 2);
    await sleep(150); // a call after theirs is answered, so they are not unread any more
    hung.calls = 'serve';
    await call(cluster, RANGE);
    hung.calls = 'silence';
    // Nobody knows whether a member that is silent by now has read this one: it may make the key at any time.
    const unread = call(cluster, path, Buffer.of(0x0a, 1, 0x6f, 0x10, 5));
    await until('the third is sent', () => hung.count(path) === 3);
    await call(cluster, RANGE);
    await lock;
    assert.equal(inUse().count(path), 1);
    assert.deepEqual(
      hung.seen.filter((seen) => seen.path === path).map(({ cancelled }) => cancelled),
      [false, false, false],
    );
    for (const stays of [nameless, unread]) {
      assert.equal(await Promise.race([stays, sleep(50, 'waits')]), 'waits');
      stays.catch(() => {}); // it ends with its connection
    }
  });

  test('a Lock with a lease has no deadline at etcd, which would delete the key of both attempts', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, inUse } = await setUp(held);
    const path = '/v3lockpb.Lock/Lock';
    for (const request of [Buffer.of(0x0a, 1, 0x6e, 0x10, 5), Buffer.of(0x0a, 1, 0x6e)])
      await cluster.unary(request, new OwnCall(method(path), NO_METADATA, performance.now() + 9000));
    const locks = inUse().seen.filter((seen) => seen.path === path);
    assert.deepEqual(
      locks.map(({ limited }) => limited),
      [false, true],
    );
  });

  test('a connection that was left closes with its last call', async () => {
    await using held = new AsyncDisposableStack();
    const { cluster, inUse } = await setUp(held);
    const hung = inUse();
    hung.calls = hung.question = 'silence';
    const write = new OwnCall(method(PUT), NO_METADATA, Number.POSITIVE_INFINITY);
    const reply = cluster.unary(EMPTY, write);
    await call(cluster, RANGE);
    assert.equal(hung.connections, 1);
    write.cancel();
    await assert.rejects(reply);
    await until('closed', () => hung.connections === 0);
  });
});
