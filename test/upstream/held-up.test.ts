/**
 * A process that gets no core, or is stopped, for as long as it would wait for an answer: the answer that has arrived
 * meanwhile counts, although timers run before sockets are read. Here the process holds itself up, right after the other
 * side has answered.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { KV } from '../../src/etcd/methods.ts';
import type { Http2Connection } from '../../src/http2/index.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { NO_METADATA } from '../../src/rpc/metadata.ts';
import { OwnCall } from '../../src/rpc/own-call.ts';
import { Code, RpcError } from '../../src/rpc/status.ts';
import { Dial } from '../../src/upstream/dial.ts';
import { EndpointPages } from '../../src/upstream/endpoint-pages.ts';
import { noStream, WaitingCalls } from '../../src/upstream/waiting-calls.ts';
import * as raw from '../http2/support/raw-peer.ts';
import { until } from '../support/until.ts';
import { ask, connectionOf, inUse, ofTwo, PATIENT, Stream } from './client.ts';
import { clientOptions, connectTo, ScriptedEtcd } from './scripted-etcd.ts';

/** What is waited for at most. Milliseconds. */
const LIMIT_MS = 1000;
/** A call fails so long before its deadline. Milliseconds. */
const MARGIN_MS = 50;

/**
 * How far the timer is over when the process goes on: by so much that it can tell, or by so little that it may have been
 * busy. Milliseconds.
 */
const CASES = [
  ['long', 400],
  ['briefly', 40],
] as const;

/** A busy machine may go on later than a deadline leaves time for: one of so many has to do. */
const REHEARSALS = 5;

async function inOneOf(count: number, rehearse: () => Promise<void>): Promise<void> {
  try {
    await rehearse();
  } catch (error) {
    if (count === 1 || !(error instanceof RpcError) || error.code !== Code.DEADLINE_EXCEEDED) throw error;
    await inOneOf(count - 1, rehearse);
  }
}

/** Keeps this process from doing anything until then, in milliseconds of `performance.now()`. */
function standStill(end: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, end - performance.now()));
}

/** Stands still as soon as the answer that is being made is sent, for once, and before anything else is read. */
function standStillAfter(member: ScriptedEtcd, ofQuestion: boolean, end: number): void {
  member.onAnswering = (isQuestion) => {
    if (isQuestion !== ofQuestion) return;
    member.onAnswering = () => {};
    setImmediate(() => standStill(end));
  };
}

/** Dials somebody who answers the first octets by this. @returns what comes of it: a connection, or why there is none */
async function dialled(
  held: AsyncDisposableStack,
  onFirst: (socket: Socket) => void,
): Promise<Http2Connection | string> {
  const server = createServer((socket) => {
    socket.once('data', () => onFirst(socket));
    held.defer(() => void socket.destroy());
  }).listen(0, '127.0.0.1');
  held.defer(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const outcome = Promise.withResolvers<Http2Connection | string>();
  const dial = new Dial(
    parseEndpoint(`127.0.0.1:${port}`),
    { ...clientOptions([]).options, dialTimeout: LIMIT_MS },
    {
      onConnected: (connection) => outcome.resolve(connection),
      onFailed: (cause) => outcome.resolve(cause),
      onLost: () => {},
      onSpent: () => {},
      onStreamSlots: () => {},
      onLimit: () => {},
      onFault: (error) => outcome.reject(error),
      pingsIdle: () => false,
    },
  );
  held.defer(() => dial.close());
  return await outcome.promise;
}

for (const [name, ms] of CASES)
  describe(`what has arrived while the process stood still, the time being over for ${name}`, () => {
    test('connects: the SETTINGS of etcd', async () => {
      await using held = new AsyncDisposableStack();
      const began = performance.now();
      const outcome = await dialled(held, (socket) => {
        socket.write(raw.settings());
        standStill(began + LIMIT_MS + ms);
      });
      assert.ok(typeof outcome === 'object', outcome as string);
    });

    test('gives watches a connection of their own: its answer to the question', async () => {
      await using held = new AsyncDisposableStack();
      const member = held.use(await ScriptedEtcd.start());
      const { cluster } = connectTo([member], { dialTimeout: 2 * LIMIT_MS });
      held.defer(() => cluster.close());
      await inUse(cluster);
      await ask(cluster, KV.Range);
      standStillAfter(member, true, performance.now() + LIMIT_MS + ms);
      new Stream(cluster);
      await until('the watch is there', () => member.messages.length > 0);
      assert.notEqual(member.messages[0]?.connection, connectionOf(member, KV.Range));
    });

    test('is the answer of an endpoint that is asked beside the one in use', async () => {
      await using held = new AsyncDisposableStack();
      const { cluster, to } = await ofTwo(held);
      standStillAfter(to, false, performance.now() + LIMIT_MS + ms);
      const call = new OwnCall(KV.Range, NO_METADATA, Number.POSITIVE_INFINITY);
      assert.ok(await cluster.askElsewhere(new Uint8Array(0), call, () => true));
    });

    test('is the answer of an endpoint that is drawn anew', async () => {
      await using held = new AsyncDisposableStack();
      const members = [held.use(await ScriptedEtcd.start()), held.use(await ScriptedEtcd.start())];
      const { cluster, heard } = connectTo(members, { ...PATIENT, choice: { shuffleInterval: 1000 } });
      held.defer(() => cluster.close());
      const { name } = await inUse(cluster);
      const drawn = members.find(({ address }) => address !== name) as ScriptedEtcd;
      await until('the choice is made, and leaves it', () => drawn.connections === 0);
      const questions = (): number => drawn.seen.filter(({ hasLeader }) => hasLeader).length;
      const before = questions();
      drawn.onAnswering = () => {
        drawn.onAnswering = () => {};
        const end = performance.now() + 2 * LIMIT_MS + ms;
        setImmediate(() => standStill(end));
      };
      await until('it is used', () => heard.switches.length > 0);
      assert.deepEqual([heard.switches[0], questions() - before], ['redrawn', 1]);
    });

    test('is a page of etcd', async () => {
      await using held = new AsyncDisposableStack();
      const server = createHttpServer((_, response) => {
        response.setHeader('content-type', 'text/plain');
        response.end('fine');
        setImmediate(() => standStill(began + LIMIT_MS + ms));
      }).listen(0, '127.0.0.1');
      held.defer(() => void server.close());
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const endpoint = parseEndpoint(`127.0.0.1:${port}`);
      const { tls } = clientOptions([]).options;
      const pages = new EndpointPages({ endpoint: () => endpoint, tls, observer: { onFetched: () => {} } });
      held.defer(() => pages.close());
      const began = performance.now();
      const page = await pages.get('/health', { timeout: LIMIT_MS, maxBytes: 1000, statuses: [200] });
      assert.ok(typeof page === 'object', page as string);
    });

    for (const [limit, dialTimeout, deadlineMs] of [
      ['the dial timeout', LIMIT_MS, Number.POSITIVE_INFINITY],
      ['its deadline', PATIENT.dialTimeout, LIMIT_MS + MARGIN_MS],
    ] as const) {
      // A call whose deadline is over has ended.
      if (ms > MARGIN_MS && deadlineMs !== Number.POSITIVE_INFINITY) continue;
      const frees = async (): Promise<void> => {
        await using held = new AsyncDisposableStack();
        const member = held.use(await ScriptedEtcd.start(7, 1));
        const { cluster } = connectTo([member], { dialTimeout, maxConnections: 1 });
        held.defer(() => cluster.close());
        await inUse(cluster);
        // When it is in use, the question that it was asked may not have ended yet.
        await ask(cluster, KV.Range);
        const now = performance.now();
        standStillAfter(member, false, now + LIMIT_MS + ms);
        const first = ask(cluster, KV.Range);
        const second = new OwnCall(KV.Range, NO_METADATA, now + deadlineMs);
        await Promise.all([first, cluster.unary(new Uint8Array(0), second)]);
        assert.equal(member.count(KV.Range.path), 3);
      };
      test(`frees a stream for a call that may wait until ${limit}`, () => inOneOf(REHEARSALS, frees));
    }
  });

describe('where the process stood still for so long that the time is far over', () => {
  test('an endpoint has its time again to answer', async () => {
    await using held = new AsyncDisposableStack();
    const began = performance.now();
    const outcome = await dialled(held, (socket) => {
      standStill(began + LIMIT_MS + 400);
      setTimeout(() => void socket.write(raw.settings()), 100);
    });
    assert.ok(typeof outcome === 'object', outcome as string);
  });

  test('a call may wait again, but not beyond its deadline', async () => {
    const waiting = new WaitingCalls();
    const failed: string[] = [];
    const add = (name: string, deadline: number): void =>
      waiting.add(
        {
          deadline,
          traffic: 'replies',
          onRoute: () => assert.fail('there is none'),
          onUnavailable: () => void failed.push(name),
        },
        LIMIT_MS,
        noStream,
      );
    add('without a deadline', Number.POSITIVE_INFINITY);
    add('with a deadline', performance.now() + LIMIT_MS + 500);
    standStill(performance.now() + LIMIT_MS + 400);
    await until('both have failed', () => failed.length === 2);
    assert.deepEqual(failed, ['with a deadline', 'without a deadline']);
  });

  test('again and again: time is granted once more, and not for ever', async () => {
    const waiting = new WaitingCalls();
    let failed = 0;
    for (const deadline of [Number.POSITIVE_INFINITY, performance.now() + LIMIT_MS + 500])
      waiting.add(
        {
          deadline,
          traffic: 'replies',
          onRoute: () => assert.fail('there is none'),
          onUnavailable: () => failed++,
        },
        LIMIT_MS,
        noStream,
      );
    // As where a process has a fraction of a core: each turn of its event loop is late.
    for (let turns = 0; failed < 2; turns++) {
      assert.ok(turns < 20, 'it waits for ever');
      standStill(performance.now() + 400);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  });
});

test('an attempt to connect has the time that it was given, and no other that may be shorter', async () => {
  await using held = new AsyncDisposableStack();
  const connection = await dialled(held, (socket) => socket.write(raw.settings()));
  assert.ok(typeof connection === 'object', connection as string);
  assert.equal(connection.settings.prefaceTimeoutMs, 0);
});
