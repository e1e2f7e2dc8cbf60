/**
 * What becomes of RPCs where Connect and Fastify meet when something is odd. Each test is of something that Connect's own
 * plugin for Fastify gets wrong (docs/decisions/connect-in-fastify.md).
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { until } from '../support/until.ts';
import { Door } from './support.ts';

const RANGE = '/etcdserverpb.KV/Range';
const JSON_TYPE = 'content-type: application/json\r\n';
/** `{"count":"5"}` */
const COUNT = Buffer.of(0x20, 5);

/** Gives what fails when anything was printed past the log. */
function quiet(t: TestContext): () => void {
  const printed = t.mock.method(console, 'error', () => {});
  return () =>
    assert.deepEqual(
      printed.mock.calls.map((call) => call.arguments),
      [],
    );
}

/** A client that sends what it likes. */
class RawClient {
  readonly socket: Socket;
  read = '';
  closed = false;

  constructor(door: Door, text: string) {
    this.socket = connect(door.port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => {
      this.read += chunk.toString('latin1');
    });
    this.socket.on('error', () => {});
    this.socket.once('close', () => {
      this.closed = true;
    });
    this.socket.write(text);
  }

  answers(): string[] {
    return this.read.match(/HTTP\/1\.1 \d+/g) ?? [];
  }
}

test('an RPC is answered whatever host its client names, and without one', async (t) => {
  const check = quiet(t);
  await using door = await Door.open({ unary: { [RANGE]: () => COUNT } });
  const heads = [
    `POST ${RANGE} HTTP/1.0\r\nconnection: keep-alive\r\n`,
    `POST ${RANGE} HTTP/1.1\r\nhost:\r\n`,
    `POST ${RANGE} HTTP/1.1\r\nhost: a b[\r\n`,
    `POST ${RANGE} HTTP/1.1\r\nhost: http://x/y?z#\r\n`,
  ];
  for (const head of heads) {
    const client = new RawClient(door, `${head}${JSON_TYPE}content-length: 2\r\n\r\n{}`);
    await until(`the answer to ${head}`, () => client.read.endsWith('{"count":"5"}'));
    assert.deepEqual(client.answers(), ['HTTP/1.1 200']);
    client.socket.destroy();
  }
  assert.deepEqual(door.observer.faults, []);
  check();
});

test('after an early answer the connection serves the next request, however long the first one still is', async (t) => {
  const check = quiet(t);
  await using door = await Door.open({ unary: { [RANGE]: () => COUNT } });
  const client = new RawClient(
    door,
    `POST ${RANGE} HTTP/1.1\r\nhost: x\r\n${JSON_TYPE}transfer-encoding: chunked\r\n\r\n`,
  );
  const { socket } = client;
  const part = `10000\r\n${' '.repeat(0x10000)}\r\n`;
  for (let sent = 0; !client.read.includes('resource_exhausted'); sent++) {
    assert.ok(sent < 100 && !client.closed, client.read);
    await new Promise((resolve) => socket.write(part, resolve));
  }
  for (let rest = 0; rest < 30; rest++) socket.write(part);
  socket.write(`0\r\n\r\nPOST ${RANGE} HTTP/1.1\r\nhost: x\r\n${JSON_TYPE}content-length: 2\r\n\r\n{}`);
  await until('the second answer', () => client.read.endsWith('{"count":"5"}'));
  assert.deepEqual(client.answers(), ['HTTP/1.1 429', 'HTTP/1.1 200']);
  assert.ok(!client.closed);
  socket.destroy();
  assert.deepEqual(door.observer.faults, []);
  check();
});

test('a response that fails half way closes its connection', async (t) => {
  const check = quiet(t);
  // Keys that become some pieces of JSON, and one that is no message.
  const kv = Buffer.concat([Buffer.of(0x12, 102, 0x2a, 100), Buffer.alloc(100, 1)]);
  const reply = Buffer.concat([...Array<Buffer>(4000).fill(kv), Buffer.of(0x12, 2, 0xff, 0xff)]);
  await using door = await Door.open({ unary: { [RANGE]: () => reply } });
  const client = new RawClient(
    door,
    `POST ${RANGE} HTTP/1.1\r\nhost: x\r\n${JSON_TYPE}content-length: 2\r\n\r\n{}`,
  );
  await until('the end of the response', () => client.closed);
  assert.deepEqual(client.answers(), ['HTTP/1.1 200']);
  assert.ok(!client.read.endsWith('\r\n0\r\n\r\n'));
  assert.ok(door.observer.events.includes('malformed Range'), door.observer.events.join());
  assert.deepEqual(door.observer.faults, []);
  check();
});

test('a large reply that is no message from its first byte on is an error of etcd, and no fault', async (t) => {
  const check = quiet(t);
  await using door = await Door.open({ unary: { [RANGE]: () => Buffer.alloc(300 << 10, 0xff) } });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(door.url + RANGE, { method: 'POST', headers, body: '{}' });
  assert.equal(response.status, 500);
  assert.match(
    await response.text(),
    /^\{"code":"internal","message":"etcd-connect-proxy: etcd's reply is no /,
  );
  assert.ok(door.observer.events.includes('malformed Range'), door.observer.events.join());
  assert.deepEqual(door.observer.faults, []);
  check();
});

test('a fault before the response is a 500, and reported', async (t) => {
  const check = quiet(t);
  const fault = new Error('secret');
  const method = (): never => {
    throw fault;
  };
  const services = { method, unary: () => undefined, stream: () => assert.fail('no stream') };
  await using door = await Door.open({}, { services });
  const client = new RawClient(
    door,
    `POST ${RANGE} HTTP/1.1\r\nhost: x\r\n${JSON_TYPE}content-length: 2\r\n\r\n{}`,
  );
  await until('the answer', () => client.read.endsWith('}'));
  assert.deepEqual(client.answers(), ['HTTP/1.1 500']);
  assert.ok(!client.read.includes('secret'));
  assert.deepEqual(door.observer.faults, [fault]);
  client.socket.destroy();
  check();
});

test('hooks of Fastify see RPCs, answered and refused', async (t) => {
  const check = quiet(t);
  const seen: string[] = [];
  await using door = await Door.open({ unary: { [RANGE]: () => COUNT } }, {}, ({ web: { app } }) => {
    app.addHook('onSend', async (_request, reply, payload) => {
      seen.push(`onSend ${reply.statusCode}`);
      reply.header('x-late', '1');
      return payload;
    });
    app.addHook('onResponse', async (_request, reply) => {
      seen.push(`onResponse ${reply.statusCode}`);
    });
  });
  for (const [body, status] of [
    ['{}', 200],
    ['{"bad"', 400],
  ] as const) {
    const response = await door.postJson(RANGE, body);
    assert.equal(response.status, status);
    assert.equal(response.headers.get('x-late'), '1');
    await response.text();
    await until('onResponse', () => seen.includes(`onResponse ${status}`));
    assert.ok(seen.includes(`onSend ${status}`));
  }
  const noMethod = await fetch(`${door.url}${RANGE}`, {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(noMethod.status, 405);
  assert.equal(noMethod.headers.get('content-length'), '0');
  check();
});
