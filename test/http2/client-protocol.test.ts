/** The client role, frame by frame, against a server that misbehaves. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { Exchange, field } from './support/exchange.ts';
import { OK, TRAILERS } from './support/play.ts';
import * as raw from './support/raw-peer.ts';
import { scene } from './support/scripted-server.ts';

const { ACK, END_HEADERS, END_STREAM, frame, PADDED, settings, u32 } = raw;
const GET = encodeHeaders([':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a']);

function response(id: number, flags = END_HEADERS, ...fields: string[]): Buffer {
  return frame('HEADERS', flags, id, encodeHeaders([':status', '200', ...fields]));
}

describe('connection errors', () => {
  const cases: [string, Buffer, number][] = [
    ['HEADERS on stream 0', response(0), ErrorCode.PROTOCOL_ERROR],
    ['HEADERS on a stream of the server', response(2), ErrorCode.PROTOCOL_ERROR],
    ['HEADERS on a stream never opened', response(3), ErrorCode.PROTOCOL_ERROR],
    ['DATA on stream 0', frame('DATA', 0, 0, [1]), ErrorCode.PROTOCOL_ERROR],
    ['DATA on a stream never opened', frame('DATA', 0, 3, [1]), ErrorCode.PROTOCOL_ERROR],
    ['RST_STREAM on a stream never opened', frame('RST_STREAM', 0, 3, u32(8)), ErrorCode.PROTOCOL_ERROR],
    ['RST_STREAM of 5 octets', frame('RST_STREAM', 0, 1, Buffer.alloc(5)), ErrorCode.FRAME_SIZE_ERROR],
    [
      'WINDOW_UPDATE on a stream never opened',
      frame('WINDOW_UPDATE', 0, 3, u32(1)),
      ErrorCode.PROTOCOL_ERROR,
    ],
    ['WINDOW_UPDATE of 0', frame('WINDOW_UPDATE', 0, 0, u32(0)), ErrorCode.PROTOCOL_ERROR],
    [
      'WINDOW_UPDATE over 2^31-1',
      frame('WINDOW_UPDATE', 0, 0, u32(0x7fffffff)),
      ErrorCode.FLOW_CONTROL_ERROR,
    ],
    ['PUSH_PROMISE', frame('PUSH_PROMISE', END_HEADERS, 1, [0, 0, 0, 2, 0x88]), ErrorCode.PROTOCOL_ERROR],
    ['ENABLE_PUSH 1', settings([2, 1]), ErrorCode.PROTOCOL_ERROR],
    ['INITIAL_WINDOW_SIZE 2^31', settings([4, 0x80000000]), ErrorCode.FLOW_CONTROL_ERROR],
    ['MAX_FRAME_SIZE 100', settings([5, 100]), ErrorCode.PROTOCOL_ERROR],
    ['SETTINGS of 7 octets', frame('SETTINGS', 0, 0, Buffer.alloc(7)), ErrorCode.FRAME_SIZE_ERROR],
    ['SETTINGS ACK with content', frame('SETTINGS', ACK, 0, Buffer.alloc(6)), ErrorCode.FRAME_SIZE_ERROR],
    ['PING of 9 octets', frame('PING', 0, 0, Buffer.alloc(9)), ErrorCode.FRAME_SIZE_ERROR],
    ['GOAWAY on a stream', frame('GOAWAY', 0, 1, Buffer.alloc(8)), ErrorCode.PROTOCOL_ERROR],
    ['GOAWAY of 4 octets', frame('GOAWAY', 0, 0, Buffer.alloc(4)), ErrorCode.FRAME_SIZE_ERROR],
    ['CONTINUATION without HEADERS', frame('CONTINUATION', END_HEADERS, 1, OK), ErrorCode.PROTOCOL_ERROR],
    ['a frame inside a field block', Buffer.concat([response(1, 0), settings()]), ErrorCode.PROTOCOL_ERROR],
    ['a frame over MAX_FRAME_SIZE', frame('DATA', 0, 1, Buffer.alloc(16_385)), ErrorCode.FRAME_SIZE_ERROR],
    [
      'padding longer than its frame',
      frame('HEADERS', PADDED | END_HEADERS, 1, [9, 0x88]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    ['a field block that is no HPACK', frame('HEADERS', END_HEADERS, 1, [0x80]), ErrorCode.COMPRESSION_ERROR],
  ];
  for (const [what, bytes, code] of cases) {
    test(what, async () => {
      await using play = await scene();
      const exchange = new Exchange();
      play.connection.request(GET, exchange, true);
      await play.peer.nextOf('HEADERS', 1);
      play.peer.send(bytes);
      assert.equal(await play.peer.goaway(), code);
      await exchange.done;
      assert.deepEqual([exchange.code, exchange.local], [code, true]);
      await play.owner.closed;
      assert.equal(play.owner.error?.code, code);
      assert.equal(play.owner.closes, 1);
      assert.equal(play.connection.openStreams, 0);
    });
  }

  test('a server that does not speak HTTP/2', async () => {
    await using play = await scene({}, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    assert.notEqual(await play.peer.goaway(), -1);
    await play.owner.closed;
    assert.ok(play.owner.error);
  });
});

describe('stream errors', () => {
  const data = (octets: number, flags = 0) => frame('DATA', flags, 1, Buffer.alloc(octets));
  const cases: [string, Buffer, number][] = [
    ['DATA before HEADERS', data(1), ErrorCode.PROTOCOL_ERROR],
    ['no :status', frame('HEADERS', END_HEADERS, 1, TRAILERS), ErrorCode.PROTOCOL_ERROR],
    [
      'a :status of letters',
      frame('HEADERS', END_HEADERS, 1, encodeHeaders([':status', 'abc'])),
      ErrorCode.PROTOCOL_ERROR,
    ],
    ['a pseudo-header of requests', response(1, END_HEADERS, ':path', '/'), ErrorCode.PROTOCOL_ERROR],
    ['an upper-case name', response(1, END_HEADERS, 'X-a', 'b'), ErrorCode.PROTOCOL_ERROR],
    ['a connection header', response(1, END_HEADERS, 'connection', 'close'), ErrorCode.PROTOCOL_ERROR],
    [
      'an interim response with END_STREAM',
      frame('HEADERS', END_HEADERS | END_STREAM, 1, encodeHeaders([':status', '103'])),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'status 101',
      frame('HEADERS', END_HEADERS, 1, encodeHeaders([':status', '101'])),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'trailers without END_STREAM',
      Buffer.concat([response(1), frame('HEADERS', END_HEADERS, 1, TRAILERS)]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'more content than announced',
      Buffer.concat([response(1, END_HEADERS, 'content-length', '2'), data(3)]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'less content than announced',
      Buffer.concat([response(1, END_HEADERS, 'content-length', '2'), data(1, END_STREAM)]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    ['WINDOW_UPDATE of 0', frame('WINDOW_UPDATE', 0, 1, u32(0)), ErrorCode.PROTOCOL_ERROR],
    ['a window over 2^31-1', frame('WINDOW_UPDATE', 0, 1, u32(0x7fffffff)), ErrorCode.FLOW_CONTROL_ERROR],
  ];
  for (const [what, bytes, code] of cases) {
    test(what, async () => {
      await using play = await scene();
      const exchange = new Exchange();
      play.connection.request(GET, exchange, false);
      await play.peer.nextOf('HEADERS', 1);
      play.peer.send(bytes);
      assert.equal(await play.peer.reset(1), code);
      assert.deepEqual([exchange.code, exchange.local], [code, true]);
      assert.ok(await play.peer.settled(), 'the connection goes on');
    });
  }

  test('more than the stream window', async () => {
    await using play = await scene({ initialWindowSize: 10 });
    const exchange = new Exchange();
    play.peer.send(frame('SETTINGS', ACK, 0));
    await play.owner.ready;
    await play.peer.settled();
    play.connection.request(GET, exchange, true).pause();
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(response(1), data(11));
    assert.equal(await play.peer.reset(1), ErrorCode.FLOW_CONTROL_ERROR);
  });

  test('a header list over the limit', async () => {
    await using play = await scene({ maxHeaderListSize: 1000 });
    const exchange = new Exchange();
    play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(response(1, END_HEADERS, 'x', 'y'.repeat(1500)));
    assert.equal(await play.peer.reset(1), ErrorCode.ENHANCE_YOUR_CALM);
    assert.ok(play.owner.limits.includes('maxHeaderListSize'));
  });

  test('HEADERS and DATA after END_STREAM', async () => {
    for (const late of [data(1), response(1, END_HEADERS | END_STREAM)]) {
      await using play = await scene();
      const exchange = new Exchange();
      play.connection.request(GET, exchange, false);
      await play.peer.nextOf('HEADERS', 1);
      play.peer.send(response(1, END_HEADERS | END_STREAM), late);
      assert.equal(await play.peer.reset(1), ErrorCode.STREAM_CLOSED);
      assert.deepEqual(exchange.events, ['headers', 'end', 'close']);
    }
  });
});

describe('what is right', () => {
  test('interim responses are skipped, trailers and empty DATA are not trouble', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    const stream = play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 1);
    const early = frame('HEADERS', END_HEADERS, 1, encodeHeaders([':status', '103', 'link', 'x']));
    play.peer.send(early, early, response(1), frame('DATA', 0, 1), frame('DATA', PADDED, 1, [1, 65, 0]));
    play.peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, TRAILERS));
    await exchange.done;
    assert.deepEqual(exchange.events, ['headers', 'data', 'trailers', 'end', 'close']);
    assert.equal(field(exchange.headers, ':status'), '200');
    assert.equal(stream.headers, exchange.headers, 'they stay on the stream');
    assert.equal(exchange.body.toString(), 'A');
    assert.equal(exchange.code, 0);
  });

  test('a response to HEAD may announce content and have none', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(response(1, END_HEADERS | END_STREAM, 'content-length', '1000'));
    await exchange.done;
    assert.equal(exchange.code, 0);
  });

  test('a response held while paused is delivered whole and in order', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    const stream = play.connection.request(GET, exchange, true);
    stream.pause();
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(
      response(1),
      frame('DATA', 0, 1, [65]),
      frame('HEADERS', END_HEADERS | END_STREAM, 1, TRAILERS),
    );
    assert.ok(await play.peer.settled());
    assert.deepEqual(exchange.events, []);
    assert.equal(stream.endStreamReceived, true);
    stream.resume();
    await exchange.done;
    assert.deepEqual(exchange.events, ['headers', 'data', 'trailers', 'end', 'close']);
  });

  test('a complete response that is held survives the end of the connection', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    play.connection.request(GET, exchange, true).pause();
    await play.peer.nextOf('HEADERS', 1);
    play.peer.send(response(1), frame('HEADERS', END_HEADERS | END_STREAM, 1, TRAILERS));
    assert.ok(await play.peer.settled());
    play.peer.close();
    await exchange.done;
    assert.deepEqual([exchange.events, exchange.code], [['headers', 'trailers', 'end', 'close'], 0]);
  });

  test('frames of streams we reset are ignored, and keep HPACK in step', async () => {
    await using play = await scene();
    const first = new Exchange();
    const second = new Exchange();
    play.connection.request(GET, first, true).reset(ErrorCode.CANCEL);
    play.connection.request(GET, second, true);
    assert.equal(await play.peer.reset(1), ErrorCode.CANCEL);
    const insert = [0x88, 0x40, 1, 0x61, 1, 0x62];
    play.peer.send(frame('HEADERS', END_HEADERS, 1, insert), frame('DATA', END_STREAM, 1, [1, 2, 3]));
    play.peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 3, [0x88, 0xbe]));
    await second.done;
    assert.equal(field(second.headers, 'a'), 'b');
    assert.deepEqual(first.events, ['close']);
  });

  test('an exception in a listener resets its stream only, and is reported', async () => {
    class Broken extends Exchange {
      override onHeaders(): void {
        throw new Error('broken listener');
      }
    }
    await using play = await scene();
    const broken = new Broken();
    const fine = new Exchange();
    play.connection.request(GET, broken, true);
    play.connection.request(GET, fine, true);
    await play.peer.nextOf('HEADERS', 3);
    play.peer.send(response(1), response(3, END_HEADERS | END_STREAM));
    assert.equal(await play.peer.reset(1), ErrorCode.INTERNAL_ERROR);
    await fine.done;
    assert.equal(fine.code, 0);
    assert.deepEqual([broken.code, broken.local], [ErrorCode.INTERNAL_ERROR, true]);
    assert.equal((play.owner.failures[0] as Error).message, 'broken listener');
  });

  test('MAX_CONCURRENT_STREAMS is kept to, and slots are announced', async () => {
    await using play = await scene({}, settings([3, 2]));
    await play.owner.ready;
    const { connection } = play;
    const exchanges = [new Exchange(), new Exchange()];
    for (const exchange of exchanges) connection.request(GET, exchange, true);
    assert.equal(connection.canOpenStream, false);
    assert.throws(() => connection.request(GET, new Exchange(), true), { code: ErrorCode.REFUSED_STREAM });
    await play.peer.nextOf('HEADERS', 3);
    play.peer.send(response(1, END_HEADERS | END_STREAM));
    await exchanges[0]?.done;
    assert.deepEqual([connection.canOpenStream, play.owner.slots], [true, 1]);
    connection.request(GET, new Exchange(), true);
    assert.equal(connection.canOpenStream, false);
    play.peer.send(settings([3, 5]));
    assert.ok(await play.peer.settled());
    assert.deepEqual([connection.canOpenStream, play.owner.slots], [true, 2]);
  });

  test('calls on a stream after its end do nothing; ending it twice is a mistake', async () => {
    await using play = await scene();
    const exchange = new Exchange();
    const stream: Http2Stream = play.connection.request(GET, exchange, true);
    assert.throws(() => stream.sendData(Buffer.alloc(1)), { code: ErrorCode.INTERNAL_ERROR });
    stream.reset(ErrorCode.CANCEL);
    stream.reset(ErrorCode.CANCEL);
    stream.sendTrailers(TRAILERS);
    assert.equal(stream.sendData(Buffer.alloc(1)), false);
    assert.deepEqual(exchange.events, ['close']);
    assert.ok(await play.peer.settled());
    assert.equal(play.peer.frames.filter((f) => f.type === 'RST_STREAM').length, 1);
  });
});
