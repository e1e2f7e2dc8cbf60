/** How answers of etcd's JSON end that fail on the way, and what becomes of small bodies that do. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { Code } from '../../src/rpc/status.ts';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const PUT = '/etcdserverpb.KV/Put';
const WATCH = '/etcdserverpb.Watch/Watch';

/** A connection that writes what a client might, and keeps what comes. */
class RawClient {
  readonly socket;
  read = '';
  closed = false;

  constructor({ port }: Door) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => {});
    this.socket.on('data', (part) => {
      this.read += part.toString();
    });
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  begin(path: string, length: number, more = ''): void {
    this.socket.write(`POST /v3/${path} HTTP/1.1\r\nhost: a\r\n${more}content-length: ${length}\r\n\r\n`);
  }
}

test('a watch that fails has an error as its last line, with what clients of every release look for', async () => {
  const onStream = (stream: ServerStream): void => {
    stream.listener = {
      ...NO_STREAM_LISTENER,
      onMessage: () => {
        // `created`.
        stream.send(Buffer.from([0x18, 0x01]));
        setImmediate(() => stream.end({ code: Code.UNAVAILABLE, message: 'etcdserver: no leader' }));
      },
    };
  };
  await using door = await Door.open({ stream: { [WATCH]: onStream } });
  const response = await fetch(`${door.url}/v3/watch`, { method: 'POST', body: '{"create_request":{}}' });
  assert.equal(response.status, 200);
  const [created, error, ...rest] = (await response.text()).split('\n');
  assert.equal(created, '{"result":{"created":true}}');
  assert.deepEqual(JSON.parse(error ?? ''), {
    error: {
      code: 14,
      message: 'etcdserver: no leader',
      grpc_code: 14,
      http_code: 503,
      http_status: 'Service Unavailable',
    },
  });
  assert.deepEqual(rest, ['']);
});

test('a small body in many parts, a slow one that runs out of time, one that breaks off', async () => {
  let puts = 0;
  const put = (request: Uint8Array): Uint8Array => {
    puts++;
    assert.deepEqual([...request], [0x0a, 1, 97]);
    return new Uint8Array(0);
  };
  const ledger = new Ledger(8 << 20);
  await using door = await Door.open({ unary: { [PUT]: put } }, { ledger });
  const body = '{"key":"YQ=="}';
  const other = new RawClient(door);
  other.begin('kv/put', body.length);
  const slow = new RawClient(door);
  slow.begin('kv/put', body.length, 'grpc-timeout: 50m\r\n');
  slow.socket.write('{');
  await until('the end of its time', () => slow.read.includes('context deadline exceeded'));
  assert.match(slow.read, /^HTTP\/1.1 504 /);
  // The rest of it belongs to it; the next request on the connection is one like any other.
  slow.socket.write(body.slice(1));
  slow.begin('kv/put', body.length);
  slow.socket.write(body);
  await until('the next answer', () => slow.read.includes('HTTP/1.1 200 '));
  const cut = new RawClient(door);
  cut.begin('kv/put', body.length);
  cut.socket.write('{"key":', () => cut.socket.destroy());
  await until('its end', () => door.observer.events.includes('handled Put 1'));
  for (const letter of body) {
    other.socket.write(letter);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until('the answer', () => other.read.endsWith('{}'));
  assert.equal(puts, 2);
  await until('nothing is held', () => ledger.held === 0);
  assert.deepEqual(door.observer.faults, []);
  for (const { socket } of [slow, other]) socket.destroy();
});

test('pipelined calls are answered in their order', async () => {
  await using door = await Door.open({ unary: { [PUT]: () => new Uint8Array(0) } });
  const client = new RawClient(door);
  for (const body of ['{"key":"YQ=="}', '{"key":', '{"key":"YQ=="}']) {
    client.begin('kv/put', body.length);
    client.socket.write(body);
  }
  await until('three answers', () => (client.read.match(/HTTP\/1.1 /g) ?? []).length === 3);
  assert.deepEqual(client.read.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200']);
  client.socket.destroy();
});
