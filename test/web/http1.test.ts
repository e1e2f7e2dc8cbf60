/** HTTP/1.1 connections: their time-outs, how they are drained and how they are closed. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { OK } from '../../src/rpc/status.ts';
import { DEFAULT_LIMITS } from '../../src/web/options.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const OBSERVE = '/v3electionpb.Election/Observe';

/** A client that writes bytes and keeps what it reads. */
class RawClient {
  readonly socket: Socket;
  read = '';
  closed = false;
  constructor(door: Door) {
    this.socket = connect(door.port, '127.0.0.1');
    this.socket.on('data', (chunk) => {
      this.read += chunk.toString('latin1');
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
  }
  post(path: string, type: string, body: string): void {
    this.socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
  }
}

test('a connection serves one request after another, also pipelined', async () => {
  let calls = 0;
  await using door = await Door.open({
    unary: {
      [RANGE]: () => {
        calls++;
        return new Uint8Array(0);
      },
    },
  });
  const client = new RawClient(door);
  client.post(RANGE, 'application/json', '{}');
  client.post(RANGE, 'application/json', '{"bad"');
  client.post(RANGE, 'application/json', '{}');
  await until('three answers', () => (client.read.match(/HTTP\/1.1 /g) ?? []).length === 3);
  assert.deepEqual(client.read.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200']);
  assert.equal(calls, 2);
});

test('a connection survives a request that was refused unread', async () => {
  await using door = await Door.open({ unary: { [RANGE]: () => new Uint8Array(0) } });
  const client = new RawClient(door);
  client.post(RANGE, 'application/json', 'x'.repeat(5_000_000));
  await until('the refusal', () => client.read.includes('resource_exhausted'));
  client.post(RANGE, 'application/json', '{}');
  await until('an answer', () => client.read.includes('HTTP/1.1 200'));
});

test('slow headers, slow bodies and idle connections end', async () => {
  const limits = { headersTimeout: 200, requestTimeout: 400, keepAliveTimeout: 200 };
  await using door = await Door.open({ unary: { [RANGE]: () => new Uint8Array(0) } }, { limits });
  const headers = new RawClient(door);
  headers.socket.write('GET /health HTTP/1.1\r\n');
  const body = new RawClient(door);
  body.socket.write(`POST ${RANGE} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{`);
  const idle = new RawClient(door);
  idle.post(RANGE, 'application/json', '{}');
  await until('time-outs', () => headers.closed && body.closed && idle.closed);
  assert.match(headers.read, /^HTTP\/1.1 408 /);
  assert.match(idle.read, /^HTTP\/1.1 200 /);
});

test('a connection that was refused is closed, whether or not its client closes its side', async () => {
  const sockets: Socket[] = [];
  const limits = { headersTimeout: 200, requestTimeout: 400 };
  await using door = await Door.open({}, { limits }, ({ web }) =>
    web.http.on('connection', (socket) => sockets.push(socket)),
  );
  const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\n';
  const heads = [
    'POST /v3/kv/range HTTP/1.1\r\nhost: x\r\n',
    'POST /v3/kv/range HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{',
    `GET /v3/nowhere HTTP/1.1\r\nhost: x\r\n${upgrade}\r\n`,
    'GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n',
  ];
  const clients = heads.map((head) => {
    const client = connect({ port: door.port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => {});
    client.resume();
    client.write(head);
    return client;
  });
  await until('all are there', () => sockets.length === heads.length);
  await until('all are closed', () => sockets.every(({ destroyed }) => destroyed));
  for (const client of clients) client.destroy();
});

test('requests outlast a pause of the network', () => {
  const noticed = 51_000; // TCP tries again 0.2, 0.6, 1.4, ... 25.4 and 51 s after its first try, so a pause of 30 s ends then
  assert.ok(DEFAULT_LIMITS.headersTimeout > noticed && DEFAULT_LIMITS.requestTimeout > noticed);
});

async function withStream(): Promise<[door: Door, client: RawClient, stream: ServerStream, heard: string[]]> {
  let stream: ServerStream | undefined;
  const heard: string[] = [];
  const door = await Door.open({
    unary: { [RANGE]: () => new Uint8Array(0) },
    stream: {
      [OBSERVE]: (client) => {
        stream = client;
        client.listener = {
          onMessage: () => client.send(new Uint8Array(0)),
          onHalfClose: () => {},
          onDrain: () => {},
          onCancel: () => heard.push('cancel'),
        };
      },
    },
  });
  const client = new RawClient(door);
  client.post(OBSERVE, 'application/grpc-web+proto', '\0\0\0\0\0');
  await until('the head of the answer', () => client.read.includes('\r\n\r\n'));
  return [door, client, stream ?? assert.fail(), heard];
}

test('draining ends idle connections at once and the others after their call', async () => {
  const [door, busy, stream] = await withStream();
  await using _ = door;
  const idle = new RawClient(door);
  idle.post(RANGE, 'application/json', '{}');
  await until('an answer', () => idle.read.includes('200 OK'));
  const drained = door.web.drain(5000);
  await until('idle closed', () => idle.closed);
  assert.equal(busy.closed, false);
  stream.end(OK);
  await drained;
  await until('busy closed', () => busy.closed);
  assert.match(busy.read, /grpc-status: 0/);
});

test('draining breaks off what does not end in time', async () => {
  const [door, busy, , heard] = await withStream();
  await using _ = door;
  await door.web.drain(50);
  await until('busy closed', () => busy.closed);
  await until('cancel', () => heard.includes('cancel'));
});

test('closing breaks off everything', async () => {
  const [door, busy, , heard] = await withStream();
  await using _ = door;
  door.web.close();
  await until('closed', () => busy.closed && heard.includes('cancel'));
  assert.deepEqual(door.observer.faults, []);
});

test('a connection that breaks in the middle of a request makes no call of it', async () => {
  await using door = await Door.open({ unary: { [RANGE]: () => assert.fail() } });
  for (const length of ['content-length: 100', 'transfer-encoding: chunked']) {
    for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const client = new RawClient(door);
      client.socket.write(
        `POST ${RANGE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\n${length}\r\n\r\n`,
      );
      client.socket.write(length.startsWith('c') ? '\n\x01a' : '3\r\n\n\x01a\r\n');
      await until('the call', () => door.observer.events.length > 0);
      client.socket[leave]();
      await until(`${length} ${leave}`, () => door.observer.events.length > 1);
      assert.deepEqual(door.observer.events.splice(0), ['started Range', 'handled Range 1']);
    }
  }
  assert.deepEqual(door.observer.faults, []);
});
