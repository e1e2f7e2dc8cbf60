/** What frames of WebSockets hold: all of it is counted, all of it is let go, and without room nothing more is read. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { WebSocket } from 'ws';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const WATCH = '/etcdserverpb.Watch/Watch';
const MIB = 1 << 20;

/** A WebSocket to a watch whose service counts messages, and takes no more of them while it is paused. */
class Scene implements AsyncDisposable {
  readonly ledger: Ledger;
  readonly door: Door;
  readonly socket: WebSocket;
  stream: ServerStream | undefined;
  messages = 0;

  constructor(ledger: Ledger, door: Door) {
    this.ledger = ledger;
    this.door = door;
    this.socket = new WebSocket(`${door.url.replace('http', 'ws')}/v3/watch`);
    this.socket.on('error', () => {});
  }

  static async open(limit: number): Promise<Scene> {
    const ledger = new Ledger(limit);
    let scene: Scene | undefined;
    const onStream = (stream: ServerStream): void => {
      const opened = scene ?? assert.fail('no scene');
      opened.stream = stream;
      stream.listener = { ...NO_STREAM_LISTENER, onMessage: () => opened.messages++ };
      stream.pause();
    };
    const door = await Door.open({ stream: { [WATCH]: onStream } }, { ledger, maxRequestBytes: 64 * MIB });
    scene = new Scene(ledger, door);
    await until('the socket is open', () => scene?.socket.readyState === WebSocket.OPEN);
    return scene;
  }

  /** The first message opens the stream, which takes no further one: these frames, read with it, wait. */
  async begin(...frames: readonly string[]): Promise<void> {
    together(this.socket, ['{}', ...frames]);
    await until('the stream', () => this.messages === 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.door[Symbol.asyncDispose]();
  }
}

/** Frames that are sent in one piece, and so are read in one. */
function together(socket: WebSocket, frames: readonly string[]): void {
  const { _socket: connection } = socket as unknown as { _socket: { cork(): void; uncork(): void } };
  connection.cork();
  for (const frame of frames) socket.send(frame);
  connection.uncork();
}

test('frames without content count while they wait, and no longer', async () => {
  await using scene = await Scene.open(256 * MIB);
  const { ledger, socket } = scene;
  const before = ledger.held;
  await scene.begin(...Array.from({ length: 2000 }, () => ''));
  assert.ok(ledger.held - before > 2000 * 128, `${ledger.held - before}`);
  together(socket, ['{}', ' ', '', '{} {', '}', '', '']);
  scene.stream?.resume();
  await until('all are read', () => scene.messages === 4);
  await until('nothing is held of them', () => ledger.held === before);
  socket.terminate();
  await until('nothing is held at all', () => ledger.held === 0);
  assert.deepEqual(scene.door.observer.faults, []);
});

test('what waits is let go when the rest is not wanted', async () => {
  await using scene = await Scene.open(256 * MIB);
  const { ledger, socket } = scene;
  const before = ledger.held;
  await scene.begin('nonsense', ...Array.from({ length: 1000 }, () => '{"create_request":{}}'));
  assert.ok(ledger.held - before > 1000 * 128, `${ledger.held - before}`);
  scene.stream?.resume();
  await until('nothing is held of them', () => ledger.held === before);
  assert.equal(scene.messages, 1);
  assert.equal(socket.readyState, WebSocket.OPEN);
});

test('while there is no room nothing more is read', async () => {
  await using scene = await Scene.open(8 * MIB);
  const { ledger, socket } = scene;
  await scene.begin();
  const other = ledger.open({ refuse: (bytes) => bytes, onRoomChanged: () => {} });
  other.take(7.35 * MIB);
  // The first one is read whatever there is; a value that has begun with it needs the next ones.
  const part = ' '.repeat(300 << 10);
  socket.send(`[${part}`);
  scene.stream?.resume();
  await until('it is held back', () => ledger.heldBack > 0);
  const held = ledger.held - other.held;
  for (let i = 0; i < 3; i++) socket.send(part);
  for (let turns = 0; turns < 200; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ledger.held - other.held, held, 'no more was read');
  other.close();
  await until('the others are read', () => ledger.held >= held + 3 * part.length);
  assert.equal(ledger.refused, 0);
});

test('parts of one message are not held each by itself', async () => {
  await using scene = await Scene.open(256 * MIB);
  const { socket } = scene;
  for (let i = 0; i < 2000; i++) socket.send(i === 0 ? '[' : ' ', { fin: false });
  await until('it is closed', () => socket.readyState === WebSocket.CLOSED);
});

test('what there is of a frame counts before all of it is there, and pings do not let it go', async () => {
  await using scene = await Scene.open(256 * MIB);
  const { ledger, socket } = scene;
  const before = ledger.held;
  await scene.begin();
  scene.stream?.resume();
  const part = ' '.repeat(MIB);
  socket.send('{', { fin: false });
  socket.send(part, { fin: false });
  await until('it is counted', () => ledger.held - before >= 2 * MIB);
  let pongs = 0;
  socket.on('pong', () => pongs++);
  for (let i = 0; i < 40; i++) socket.ping('x'.repeat(125));
  await until('pongs', () => pongs === 40);
  assert.ok(ledger.held - before >= 2 * MIB, `${ledger.held - before}`);
  socket.send('} {}');
  await until(
    () => `${scene.messages} messages, ${ledger.held - before} bytes held`,
    () => scene.messages === 3 && ledger.held === before,
  );
  socket.terminate();
  await until('nothing is held at all', () => ledger.held === 0);
});

test('without room a frame that is not whole is read no further', async () => {
  await using scene = await Scene.open(8 * MIB);
  const { ledger, socket } = scene;
  await scene.begin();
  scene.stream?.resume();
  const other = ledger.open({ refuse: (bytes) => bytes, onRoomChanged: () => {} });
  other.take(7.35 * MIB);
  socket.send(' '.repeat(1.5 * MIB), { fin: false });
  await until('it is held back', () => ledger.heldBack > 0);
  assert.ok(ledger.held - other.held < 1.5 * MIB, `${ledger.held - other.held}`);
  other.close();
  await until('all of it is read', () => ledger.held >= 3 * MIB);
  assert.equal(ledger.refused, 0);
});

test('a large reply is made in turns with others', async () => {
  const kvs = Array.from({ length: 60_000 }, () => ({ value: Buffer.alloc(200) }));
  // A value within the last key that is not whole is found when all before it is made.
  const broken = Buffer.of(0x12, 2, 0x2a, 7);
  const reply = Buffer.concat([toBinary(RangeResponseSchema, create(RangeResponseSchema, { kvs })), broken]);
  let turns = 0;
  let running = true;
  const turn = (): void => {
    turns++;
    if (running) setImmediate(turn);
  };
  await using door = await Door.open({
    unary: {
      [RANGE]: () => {
        turn();
        return reply;
      },
    },
  });
  const socket = new WebSocket(`${door.url.replace('http', 'ws')}/v3/kv/range`);
  socket.on('error', () => {});
  socket.on('open', () => socket.send('{}'));
  await until('it is found', () => door.observer.events.includes('malformed Range') || socket.readyState > 1);
  running = false;
  assert.ok(turns > 20, `${turns} turns`);
  socket.terminate();
});

const UPGRADE = [
  'GET /v3/kv/range HTTP/1.1',
  'host: localhost',
  'connection: upgrade',
  'upgrade: websocket',
  'sec-websocket-version: 13',
  'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
];

/** A connection, and what was read of it. */
class Wire implements Disposable {
  readonly #socket: Socket;
  read = '';

  constructor(door: Door) {
    this.#socket = connect(door.port, '127.0.0.1');
    this.#socket.on('error', () => {});
    this.#socket.on('data', (part) => {
      this.read += part.toString('latin1');
    });
  }

  /** Writes these bytes at once, and waits for an end of what is read. */
  async answer(bytes: string | Uint8Array, end: string): Promise<void> {
    this.#socket.write(bytes);
    await until(
      () => `the answer, not ${this.read}`,
      () => this.read.endsWith(end),
    );
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

test('a frame that comes with the request for the WebSocket is read', async () => {
  await using door = await Door.open({ unary: { [RANGE]: () => new Uint8Array(0) } });
  using wire = new Wire(door);
  // Masked with zeroes.
  const frame = Buffer.of(0x81, 0x82, 0, 0, 0, 0, 0x7b, 0x7d);
  const bytes = Buffer.concat([Buffer.from(`${UPGRADE.join('\r\n')}\r\n\r\n`), frame]);
  await wire.answer(bytes, '\x88\x02\x03\xe8');
  assert.match(wire.read, /^HTTP\/1\.1 101 /);
  assert.ok(wire.read.includes('\x81\x02{}'));
});

test('a request with a body becomes no WebSocket', async () => {
  await using door = await Door.open();
  for (const body of [
    'content-length: 3\r\n\r\nabc',
    'transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  ]) {
    using wire = new Wire(door);
    await wire.answer(`${UPGRADE.join('\r\n')}\r\n${body}`, '"Method Not Allowed"}');
    await wire.answer('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n', '"reason":""}');
    assert.deepEqual(wire.read.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 501', 'HTTP/1.1 200']);
  }
});
