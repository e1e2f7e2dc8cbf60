/** The engine against node:http2, in both roles. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import type net from 'node:net';
import { test } from 'node:test';
import { encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { Echo } from './support/echo.ts';
import { connect, EngineServer, Exchange, field } from './support/exchange.ts';

const OK = encodeHeaders([':status', '200', 'content-type', 'application/grpc']);
const SIZES = [0, 1, 260, 16_384, 16_385, 65_535, 1 << 20, 64 << 20];

/** Sends back what it gets, with back-pressure in both directions. */
function echo(stream: Http2Stream): void {
  stream.listener = new Echo();
  stream.sendHeaders(OK);
}

function digest(parts: Buffer[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i += 4096) bytes.writeUInt8((i >>> 12) % 251, i);
  return bytes;
}

test('server role: node:http2 sends 0 bytes to 64 MiB and gets them back', async () => {
  await using server = new EngineServer(echo);
  // node:http2 counts a message that waits against its own memory limit (MB).
  const session = http2.connect(`http://127.0.0.1:${await server.listen()}`, { maxSessionMemory: 500 });
  for (const size of SIZES) {
    const sent = pattern(size);
    const request = session.request({ ':method': 'POST', ':path': '/echo' });
    request.end(sent);
    const trailers = once(request, 'trailers');
    const got: Buffer[] = await request.toArray();
    assert.equal(digest(got), digest([sent]), `${size} bytes`);
    assert.equal((await trailers)[0]['grpc-status'], '0');
  }
  session.close();
  await once(session, 'close');
  assert.equal(server.connections[0]?.openStreams, 0);
  assert.deepEqual(server.owners[0]?.failures, []);
});

test('client role: the engine sends 0 bytes to 64 MiB to node:http2 and gets them back', async () => {
  const server = http2.createServer((request, response) => {
    response.writeHead(200, { 'x-path': request.url });
    request.pipe(response, { end: false });
    request.on('end', () => {
      response.addTrailers({ 'grpc-status': '0' });
      response.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { owner, connection } = connect((server.address() as net.AddressInfo).port);
  await owner.ready;
  for (const size of SIZES) {
    const sent = pattern(size);
    const exchange = new Exchange();
    const block = encodeHeaders([':method', 'POST', ':scheme', 'http', ':path', '/x', ':authority', 'a']);
    const stream = connection.request(block, exchange, false);
    stream.sendData(sent, true);
    await exchange.done;
    assert.equal(exchange.code, 0);
    assert.equal(field(exchange.headers, 'x-path'), '/x');
    assert.equal(digest(exchange.chunks), digest([sent]), `${size} bytes`);
    assert.equal(field(exchange.trailers, 'grpc-status'), '0');
  }
  assert.equal(connection.openStreams, 0);
  connection.drain();
  await owner.closed;
  assert.equal(owner.error, undefined);
  server.close();
});

test('1 000 calls at once from node:http2, and a graceful end', async () => {
  await using server = new EngineServer(echo);
  const session = http2.connect(`http://127.0.0.1:${await server.listen()}`);
  const bodies = await Promise.all(
    Array.from({ length: 1000 }, async (_, i) => {
      const request = session.request({ ':method': 'POST', ':path': `/${i}`, 'x-number': String(i) });
      request.end(`message ${i}`);
      return Buffer.concat(await request.toArray()).toString();
    }),
  );
  bodies.forEach((body, i) => {
    assert.equal(body, `message ${i}`);
  });
  const goaway = once(session, 'goaway');
  server.connections[0]?.drain();
  await goaway;
  await once(session, 'close');
  assert.equal(server.owners[0]?.error, undefined);
});
