/** What comes on a connection before the request ahead of it is answered. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { OK } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const WATCH = '/etcdserverpb.Watch/Watch';

/** Watches that never end by themselves. */
class Watches {
  readonly open = new Set<ServerStream>();
  begun = 0;

  readonly handler = (stream: ServerStream): void => {
    this.begun++;
    this.open.add(stream);
    stream.listener = {
      ...NO_STREAM_LISTENER,
      // `created`.
      onMessage: () => void stream.send(Buffer.from([0x18, 0x01])),
      onCancel: () => void this.open.delete(stream),
    };
  };
}

function request(path: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

const WATCH_REQUEST = request('/v3/watch', '{"create_request":{}}');
const RANGE_REQUEST = request('/v3/kv/range', '{}');

/** A client that writes all at once. */
function client({ port }: Door, bytes: string) {
  const socket = connect(port, '127.0.0.1');
  const heard = { socket, read: '' };
  socket.on('error', () => {});
  socket.on('data', (part) => {
    heard.read += part.toString('latin1');
  });
  socket.write(bytes);
  return heard;
}

test('requests behind a watch begin when it ends, and never when their client goes', async () => {
  const watches = new Watches();
  await using door = await Door.open({ stream: { [WATCH]: watches.handler } });
  const { socket } = client(door, WATCH_REQUEST.repeat(50));
  await until('a watch', () => watches.begun > 0);
  // Another request, which has its turn after all of these were read.
  assert.equal((await fetch(`${door.url}/health`)).status, 200);
  assert.equal(watches.begun, 1);
  socket.destroy();
  await until('its end', () => watches.open.size === 0);
  assert.equal((await fetch(`${door.url}/health`)).status, 200);
  assert.equal(watches.begun, 1);
  assert.deepEqual(door.observer.faults, []);
});

test('a connection is read no further while many of its requests wait', async () => {
  const watches = new Watches();
  let ranges = 0;
  const range = () => {
    ranges++;
    return new Uint8Array(0);
  };
  const accepted: { bytesRead: number }[] = [];
  await using door = await Door.open(
    { stream: { [WATCH]: watches.handler }, unary: { [RANGE]: range } },
    {},
    ({ web }) => web.http.on('connection', (socket) => accepted.push(socket)),
  );
  const count = 10_000;
  const heard = client(door, WATCH_REQUEST + RANGE_REQUEST.repeat(count));
  await until('a watch', () => watches.open.size > 0);
  let before = -1;
  await until('a pause', async () => {
    await fetch(`${door.url}/health`);
    const now = accepted[0]?.bytesRead ?? 0;
    const paused = now === before;
    before = now;
    return paused;
  });
  assert.ok(before < 256 << 10, `${before} bytes`);
  assert.equal(ranges, 0);
  for (const watch of watches.open) watch.end(OK);
  await until('all', () => ranges === count);
  await until('the last answer', () => heard.read.split('HTTP/1.1 200').length === count + 2);
  heard.socket.destroy();
});

test('a connection that is not read for long is closed', async () => {
  const watches = new Watches();
  await using door = await Door.open(
    { stream: { [WATCH]: watches.handler } },
    { limits: { requestTimeout: 200 } },
  );
  const { socket } = client(door, WATCH_REQUEST.repeat(500));
  await until('the end', () => socket.closed);
  assert.equal(watches.begun, 1);
  await until('that of the watch', () => watches.open.size === 0);
});

test('a target may be a whole address, as clients of forward proxies send it', async () => {
  await using door = await Door.open({ unary: { [RANGE]: () => new Uint8Array(0) } });
  const heard = client(door, request('http://a/v3/kv/range', '{}') + request('http://a/v3/nothing', '{}'));
  await until('answers', () => heard.read.split('HTTP/1.1 ').length === 3);
  assert.match(heard.read, /^HTTP\/1.1 200 .*HTTP\/1.1 404 /s);
  heard.socket.destroy();
});

test('a connection becomes no WebSocket while an answer is due on it', async () => {
  const watches = new Watches();
  await using door = await Door.open({ stream: { [WATCH]: watches.handler } });
  const fields = [
    'GET /v3/watch HTTP/1.1',
    'host: a',
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
  ];
  const heard = client(door, `${WATCH_REQUEST}${fields.join('\r\n')}\r\n\r\n`);
  await until('a watch', () => watches.open.size > 0 && heard.read.includes('created'));
  assert.equal((await fetch(`${door.url}/health`)).status, 200);
  for (const watch of watches.open) watch.end(OK);
  await until('two answers', () => heard.read.split('HTTP/1.1 ').length === 3);
  assert.match(heard.read, /^HTTP\/1.1 200 .*HTTP\/1.1 501 /s);
  heard.socket.destroy();
});

test('what comes behind an answer that ends the connection is not looked at', async () => {
  const watches = new Watches();
  await using door = await Door.open({ stream: { [WATCH]: watches.handler } });
  // A stream of both sides, which neither gRPC-Web nor Connect carries: its connection is closed.
  const heard = client(door, request(WATCH, '{}') + WATCH_REQUEST);
  await until('the end', () => heard.socket.closed);
  assert.match(heard.read, /^HTTP\/1.1 505 /);
  assert.equal(watches.begun, 0);
  assert.equal(watches.open.size, 0);
});
