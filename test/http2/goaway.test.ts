/** GOAWAY from either side, draining, and which requests were certainly not processed (RFC 9113 section 6.8). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { connect, EngineServer, Exchange } from './support/exchange.ts';
import { OK } from './support/play.ts';
import * as raw from './support/raw-peer.ts';
import { scene } from './support/scripted-server.ts';

const { ACK, END_HEADERS, END_STREAM, frame, u32 } = raw;
const GET = encodeHeaders([':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a']);
const NONE = encodeHeaders([]);
const LAST = 0x7fffffff;

function keep(stream: Http2Stream): void {
  stream.listener = new Exchange();
}

function goaway(last: number, code = 0, debug = ''): Buffer {
  return frame('GOAWAY', 0, 0, Buffer.concat([u32(last), u32(code), Buffer.from(debug)]));
}
describe('a client that gets GOAWAY', () => {
  test('streams above the last one were not processed, the others go on, then it closes', async () => {
    await using play = await scene();
    const exchanges = [new Exchange(), new Exchange(), new Exchange()];
    const streams = exchanges.map((exchange) => play.connection.request(GET, exchange, true));
    await play.peer.nextOf('HEADERS', 5);
    play.peer.send(goaway(1, ErrorCode.NO_ERROR, 'bye'));
    await exchanges[2]?.done;
    assert.deepEqual(
      streams.map((s) => s.unprocessed),
      [false, true, true],
    );
    assert.deepEqual(play.owner.goaways, [{ last: 1, code: 0, debug: 'bye' }]);
    assert.deepEqual(
      [play.connection.draining, play.connection.canOpenStream, play.connection.closed],
      [true, false, false],
    );
    play.peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, OK));
    await exchanges[0]?.done;
    assert.equal(exchanges[0]?.code, 0);
    await play.owner.closed;
    assert.equal(play.owner.error, undefined);
  });

  test('two GOAWAYs of a server that drains', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    const stream = play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(goaway(LAST));
    assert.ok(await play.peer.settled());
    assert.equal(stream.closed, false);
    play.peer.send(goaway(0));
    await exchange.done;
    assert.equal(stream.unprocessed, true);
  });

  test('an error in GOAWAY is the error of the connection', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(goaway(1, ErrorCode.ENHANCE_YOUR_CALM, 'too_many_pings'));
    play.peer.socket.end();
    await play.owner.closed;
    assert.equal(play.owner.error?.code, ErrorCode.ENHANCE_YOUR_CALM);
    assert.match(play.owner.error?.message ?? '', /too_many_pings/);
    assert.deepEqual([exchange.code, exchange.local], [ErrorCode.ENHANCE_YOUR_CALM, false]);
  });
});

describe('unprocessed', () => {
  test('REFUSED_STREAM', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    const stream = play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(frame('RST_STREAM', 0, 1, u32(ErrorCode.REFUSED_STREAM)));
    await exchange.done;
    assert.deepEqual(
      [stream.unprocessed, exchange.code, exchange.local],
      [true, ErrorCode.REFUSED_STREAM, false],
    );
  });

  test('a socket that never connects', async () => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    server.close();
    await once(server, 'close');
    const { owner, connection } = connect(port);
    const exchange = new Exchange();
    const stream = connection.request(GET, exchange, true);
    await exchange.done;
    assert.equal(stream.unprocessed, true);
    await owner.closed;
    assert.match(owner.error?.message ?? '', /ECONNREFUSED/);
  });

  test('HEADERS that were not handed to the socket when it died', async () => {
    await using play = await scene();
    await play.owner.ready;
    const early = new Exchange();
    const sent = play.connection.request(GET, early, true);
    await play.peer.nextOf('HEADERS', 1);
    play.peer.socket.resetAndDestroy();
    await early.done;
    assert.equal(sent.unprocessed, false);
    assert.equal(early.code, ErrorCode.CANCEL);
  });
});

describe('draining', () => {
  test('a server announces it, serves what was under way, and closes', async () => {
    await using server = new EngineServer(keep);
    const peer = raw.rawClient(await server.listen());
    peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, GET));
    assert.ok(await peer.settled());
    server.connections[0]?.drain();
    const first = await peer.nextOf('GOAWAY');
    assert.equal(first?.payload.readUInt32BE(0), LAST);
    const ping = await peer.nextOf('PING');
    peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 3, GET));
    peer.send(frame('PING', ACK, 0, ping?.payload));
    const second = await peer.nextOf('GOAWAY');
    assert.equal(second?.payload.readUInt32BE(0), 3, 'the request that crossed the first GOAWAY is served');
    peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 5, GET));
    assert.ok(await peer.settled());
    assert.equal(server.owners[0]?.streams.length, 2, 'one after the second is not');
    for (const stream of server.owners[0]?.streams ?? []) stream.sendReply(OK, NONE, NONE);
    await peer.closed();
    await server.owners[0]?.closed;
    assert.equal(server.owners[0]?.error, undefined);
    assert.ok(peer.frames.some((f) => f.type === 'HEADERS' && f.id === 3));
  });

  test('a server does not wait for ever for the answer to its PING', async () => {
    await using server = new EngineServer(keep, { keepaliveTimeoutMs: 20 });
    const peer = raw.rawClient(await server.listen());
    assert.ok(await peer.settled());
    server.connections[0]?.drain();
    await peer.closed();
    assert.equal(peer.frames.filter((f) => f.type === 'GOAWAY').length, 2);
  });

  test('GOAWAY never names a later stream than before', async () => {
    await using server = new EngineServer(keep, { keepaliveTimeoutMs: 10 });
    const peer = raw.rawClient(await server.listen());
    peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, GET));
    assert.ok(await peer.settled());
    server.connections[0]?.drain();
    await peer.nextOf('GOAWAY');
    assert.equal((await peer.nextOf('GOAWAY'))?.payload.readUInt32BE(0), 1);
    peer.send(frame('HEADERS', END_HEADERS, 3, GET), frame('DATA', 0, 3, [1]));
    assert.ok(await peer.settled(), 'frames of a stream that is ignored are no mistake');
    server.connections[0]?.destroy(ErrorCode.INTERNAL_ERROR);
    assert.equal((await peer.nextOf('GOAWAY'))?.payload.readUInt32BE(0), 1);
  });

  test('a client that has used all identifiers drains by itself', async () => {
    await using play = await scene();
    play.connection.table.nextId = LAST - 2;
    const exchanges = [new Exchange(), new Exchange()];
    for (const exchange of exchanges) play.connection.request(GET, exchange, true);
    assert.deepEqual([play.connection.canOpenStream, play.connection.draining], [false, true]);
    for (const id of [LAST - 2, LAST]) {
      await play.peer.nextOf('HEADERS', id);
      play.peer.send(frame('HEADERS', END_HEADERS | END_STREAM, id, OK));
    }
    await play.owner.closed;
    assert.deepEqual(
      exchanges.map((e) => e.code),
      [0, 0],
    );
  });

  test('a client finishes its streams', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    play.connection.request(GET, exchange, true);
    play.connection.drain();
    assert.equal(play.connection.canOpenStream, false);
    assert.equal(await play.peer.goaway(), ErrorCode.NO_ERROR);
    play.peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, OK));
    await exchange.done;
    assert.equal(exchange.code, 0);
    await play.owner.closed;
  });

  test('an idle connection is drained', async () => {
    await using server = new EngineServer(keep, { idleTimeoutMs: 20, keepaliveTimeoutMs: 10 });
    const peer = raw.rawClient(await server.listen());
    assert.equal(await peer.goaway(), ErrorCode.NO_ERROR);
    await peer.closed();
    assert.deepEqual(server.owners[0]?.limits, ['idleTimeoutMs']);
  });
});
