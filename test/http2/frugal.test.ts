/** What a connection costs that a client has opened and says little on: counted, not timed. Thousands of clients are thousands of these. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ErrorCode,
  encodeHeaders,
  Http2Connection,
  type Http2Settings,
  type Http2Stream,
} from '../../src/http2/index.ts';
import { countMade } from '../support/count-made.ts';
import { Exchange, Owner } from './support/exchange.ts';
import { MemorySocket } from './support/memory-socket.ts';
import * as raw from './support/raw-peer.ts';

const { END_HEADERS, END_STREAM, frame } = raw;
const POST = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', '/a', ':authority', 'a']);
/** What a client says first, all of it together. */
const HELLO = Buffer.concat([raw.MAGIC, raw.settings()]);

const OPEN = frame('HEADERS', END_HEADERS, 1, POST);

/** Lets what is put off happen. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A connection of a client whose first octets were read before the engine got it, with one stream. */
async function accept(settings: Partial<Http2Settings>, head: Buffer = HELLO) {
  const owner = new Owner((stream) => {
    stream.listener = new Exchange();
  });
  const memory = new MemorySocket(true);
  const connection = new Http2Connection(memory.socket, 'server', owner, settings, head);
  await turns();
  memory.push(OPEN);
  await turns();
  assert.equal(owner.streams.length, 1);
  return { owner, memory, connection };
}

test('its times need no timer once it has said what it speaks', async (t) => {
  const timers = t.mock.method(globalThis, 'setTimeout');
  const { connection } = await accept({});
  assert.equal(timers.mock.callCount(), 0);
  connection.destroy();
  timers.mock.resetCalls();
  // One for the silence after which it is asked whether it is there, as long as for all others.
  const { connection: kept } = await accept({ keepaliveIntervalMs: 1000 });
  assert.deepEqual(
    timers.mock.calls.map(({ arguments: [, ms] }) => ms),
    [1000],
  );
  kept.destroy();
});

test('it is greeted in one write, at once, together with the acknowledgement of its settings', async (t) => {
  const memory = new MemorySocket(true);
  const puttingOff = t.mock.method(globalThis, 'setImmediate');
  const connection = new Http2Connection(memory.socket, 'server', new Owner(), {}, HELLO);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  assert.deepEqual([memory.written.length, puttingOff.mock.callCount()], [1, 0]);
  connection.destroy();
});

test('a client that has not said all yet has its time as before', async () => {
  const owner = new Owner();
  const memory = new MemorySocket();
  new Http2Connection(memory.socket, 'server', owner, { prefaceTimeoutMs: 5 }, HELLO.subarray(0, 20));
  const alive = setInterval(() => {}, 1000);
  await owner.closed;
  clearInterval(alive);
  assert.deepEqual(owner.limits, ['prefaceTimeoutMs']);
});

test('what it begins with is worked out once for all that begin with the same', async () => {
  const lists = [];
  for (let i = 0; i < 4; i++) {
    const { owner, connection } = await accept({});
    lists.push(owner.streams[0]?.headers);
    connection.destroy();
  }
  assert.equal(lists[3], lists[2]);
});

test('nobody can have what others begin with taken for malformed', async () => {
  // As trailers it is, since it has fields that only a request may have.
  const begin = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', '/b', ':authority', 'b']);
  for (let i = 0; i < 4; i++) {
    const { owner, memory, connection } = await accept({});
    memory.push(frame('HEADERS', END_HEADERS | END_STREAM, 1, begin));
    await turns();
    const [{ listener }] = owner.streams as [Http2Stream];
    assert.equal((listener as Exchange).code, ErrorCode.PROTOCOL_ERROR);
    connection.destroy();
  }
  for (let i = 0; i < 4; i++) {
    const owner = new Owner((stream) => {
      stream.listener = new Exchange();
    });
    const head = Buffer.concat([HELLO, frame('HEADERS', END_HEADERS, 1, begin)]);
    const connection = new Http2Connection(new MemorySocket().socket, 'server', owner, {}, head);
    await turns();
    assert.deepEqual(owner.streams[0]?.headers.slice(4, 6), [':path', '/b']);
    connection.destroy();
  }
});

test('it has no Map, Set or typed array: these are made when something is put into them', async (t) => {
  const [sets, maps, arrays] = [countMade(t, 'Set'), countMade(t, 'Map'), countMade(t, 'Float64Array')];
  const { connection } = await accept({});
  assert.deepEqual([sets.made, maps.made, arrays.made], [0, 0, 0]);
  connection.destroy();
});

test('its settings, and the frames that tell them, are made once for all connections with them', async (t) => {
  const given = { maxConcurrentStreams: 5 };
  const first = await accept(given);
  const alloc = t.mock.method(Buffer, 'alloc');
  const second = await accept(given);
  assert.equal(second.connection.settings, first.connection.settings);
  assert.equal(alloc.mock.callCount(), 0);
  assert.deepEqual(second.memory.written, first.memory.written);
  for (const { connection } of [first, second]) connection.destroy();
});
