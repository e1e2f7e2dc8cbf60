/** The server role against a scripted client that makes mistakes: what is a connection error, and what a stream error. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { Exchange } from './support/exchange.ts';
import * as raw from './support/raw-peer.ts';

const { ACK, END_HEADERS, END_STREAM, frame, PADDED, PRIORITY, settings, u32 } = raw;

import { answer, list, OK, POST, POST_LIST, play, post, TRAILERS } from './support/play.ts';

describe('connection errors', () => {
  const cases: [string, Buffer, number][] = [
    ['DATA on stream 0', frame('DATA', 0, 0, [1]), ErrorCode.PROTOCOL_ERROR],
    ['HEADERS on stream 0', frame('HEADERS', END_HEADERS, 0, POST), ErrorCode.PROTOCOL_ERROR],
    ['HEADERS on an even stream', post(2), ErrorCode.PROTOCOL_ERROR],
    ['HEADERS on a stream that was skipped', Buffer.concat([post(5), post(3)]), ErrorCode.PROTOCOL_ERROR],
    ['DATA on an idle stream', frame('DATA', 0, 1, [1]), ErrorCode.PROTOCOL_ERROR],
    ['RST_STREAM on an idle stream', frame('RST_STREAM', 0, 1, u32(8)), ErrorCode.PROTOCOL_ERROR],
    ['WINDOW_UPDATE on an idle stream', frame('WINDOW_UPDATE', 0, 1, u32(8)), ErrorCode.PROTOCOL_ERROR],
    ['WINDOW_UPDATE of 0', frame('WINDOW_UPDATE', 0, 0, u32(0)), ErrorCode.PROTOCOL_ERROR],
    [
      'WINDOW_UPDATE over 2^31-1',
      frame('WINDOW_UPDATE', 0, 0, u32(0x7fffffff)),
      ErrorCode.FLOW_CONTROL_ERROR,
    ],
    ['WINDOW_UPDATE of 3 octets', frame('WINDOW_UPDATE', 0, 0, [0, 0, 1]), ErrorCode.FRAME_SIZE_ERROR],
    [
      'RST_STREAM of 3 octets',
      Buffer.concat([post(1), frame('RST_STREAM', 0, 1, [0, 0, 1])]),
      ErrorCode.FRAME_SIZE_ERROR,
    ],
    ['RST_STREAM on stream 0', frame('RST_STREAM', 0, 0, u32(0)), ErrorCode.PROTOCOL_ERROR],
    ['PING of 7 octets', frame('PING', 0, 0, Buffer.alloc(7)), ErrorCode.FRAME_SIZE_ERROR],
    ['PING on a stream', frame('PING', 0, 1, Buffer.alloc(8)), ErrorCode.PROTOCOL_ERROR],
    ['SETTINGS on a stream', frame('SETTINGS', 0, 1), ErrorCode.PROTOCOL_ERROR],
    ['SETTINGS of 5 octets', frame('SETTINGS', 0, 0, Buffer.alloc(5)), ErrorCode.FRAME_SIZE_ERROR],
    ['SETTINGS ACK with content', frame('SETTINGS', ACK, 0, Buffer.alloc(6)), ErrorCode.FRAME_SIZE_ERROR],
    ['ENABLE_PUSH 2', settings([2, 2]), ErrorCode.PROTOCOL_ERROR],
    ['INITIAL_WINDOW_SIZE 2^31', settings([4, 0x80000000]), ErrorCode.FLOW_CONTROL_ERROR],
    ['MAX_FRAME_SIZE 16 383', settings([5, 16_383]), ErrorCode.PROTOCOL_ERROR],
    ['MAX_FRAME_SIZE 2^24', settings([5, 1 << 24]), ErrorCode.PROTOCOL_ERROR],
    ['PUSH_PROMISE', frame('PUSH_PROMISE', END_HEADERS, 1, [0, 0, 0, 2]), ErrorCode.PROTOCOL_ERROR],
    ['GOAWAY on a stream', frame('GOAWAY', 0, 1, Buffer.alloc(8)), ErrorCode.PROTOCOL_ERROR],
    ['GOAWAY of 7 octets', frame('GOAWAY', 0, 0, Buffer.alloc(7)), ErrorCode.FRAME_SIZE_ERROR],
    ['PRIORITY on stream 0', frame('PRIORITY', 0, 0, Buffer.alloc(5)), ErrorCode.PROTOCOL_ERROR],
    ['CONTINUATION without HEADERS', frame('CONTINUATION', END_HEADERS, 1, POST), ErrorCode.PROTOCOL_ERROR],
    [
      'a PING inside a field block',
      Buffer.concat([post(1, 0), frame('PING', 0, 0, Buffer.alloc(8))]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'CONTINUATION of another stream',
      Buffer.concat([post(1, 0), frame('CONTINUATION', END_HEADERS, 3)]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'padding longer than DATA',
      Buffer.concat([post(1), frame('DATA', PADDED, 1, [5, 1])]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'padding longer than HEADERS',
      frame('HEADERS', PADDED | END_HEADERS, 1, [200, 0x82]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'padded DATA of 0 octets',
      Buffer.concat([post(1), frame('DATA', PADDED, 1)]),
      ErrorCode.FRAME_SIZE_ERROR,
    ],
    ['padded HEADERS of 0 octets', frame('HEADERS', PADDED | END_HEADERS, 1), ErrorCode.FRAME_SIZE_ERROR],
    [
      'HEADERS cut inside the priority',
      frame('HEADERS', PRIORITY | END_HEADERS, 1, [0, 0]),
      ErrorCode.FRAME_SIZE_ERROR,
    ],
    ['a frame over MAX_FRAME_SIZE', frame('DATA', 0, 1, Buffer.alloc(16_385)), ErrorCode.FRAME_SIZE_ERROR],
    [
      'a field block that is no HPACK',
      frame('HEADERS', END_HEADERS, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      ErrorCode.COMPRESSION_ERROR,
    ],
  ];
  for (const [what, bytes, code] of cases) {
    test(what, async () => {
      await play(async (peer) => {
        peer.send(bytes);
        assert.equal(await peer.goaway(), code);
        await peer.closed();
      });
    });
  }

  test('no preface', async () => {
    const first = Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await play(
      async (peer) => assert.equal(await peer.goaway(), ErrorCode.PROTOCOL_ERROR),
      {},
      answer,
      first,
    );
  });

  test('a preface without SETTINGS', async () => {
    const first = Buffer.concat([raw.MAGIC, frame('PING', 0, 0, Buffer.alloc(8))]);
    await play(
      async (peer) => assert.equal(await peer.goaway(), ErrorCode.PROTOCOL_ERROR),
      {},
      answer,
      first,
    );
  });
});

describe('stream errors', () => {
  const cases: [string, Buffer, number][] = [
    ['upper-case name', list(...POST_LIST, 'X-a', 'b'), ErrorCode.PROTOCOL_ERROR],
    ['empty name', list(...POST_LIST, '', 'b'), ErrorCode.PROTOCOL_ERROR],
    ['line feed in a value', list(...POST_LIST, 'a', 'b\nc'), ErrorCode.PROTOCOL_ERROR],
    ['unknown pseudo-header', list(...POST_LIST, ':x', 'b'), ErrorCode.PROTOCOL_ERROR],
    ['pseudo-header of a response', list(...POST_LIST, ':status', '200'), ErrorCode.PROTOCOL_ERROR],
    ['pseudo-header after a field', list('a', 'b', ...POST_LIST), ErrorCode.PROTOCOL_ERROR],
    ['pseudo-header twice', list(...POST_LIST, ':path', '/'), ErrorCode.PROTOCOL_ERROR],
    ['no :path', list(':method', 'GET', ':scheme', 'http'), ErrorCode.PROTOCOL_ERROR],
    ['empty :path', list(':method', 'GET', ':scheme', 'http', ':path', ''), ErrorCode.PROTOCOL_ERROR],
    ['no :method', list(':scheme', 'http', ':path', '/'), ErrorCode.PROTOCOL_ERROR],
    ['no :scheme', list(':method', 'GET', ':path', '/'), ErrorCode.PROTOCOL_ERROR],
    [
      'CONNECT with a path',
      list(':method', 'CONNECT', ':authority', 'a', ':path', '/'),
      ErrorCode.PROTOCOL_ERROR,
    ],
    ['connection header', list(...POST_LIST, 'connection', 'keep-alive'), ErrorCode.PROTOCOL_ERROR],
    ['transfer-encoding', list(...POST_LIST, 'transfer-encoding', 'chunked'), ErrorCode.PROTOCOL_ERROR],
    ['te other than trailers', list(...POST_LIST, 'te', 'gzip'), ErrorCode.PROTOCOL_ERROR],
    ['content-length without content', list(...POST_LIST, 'content-length', '1'), ErrorCode.PROTOCOL_ERROR],
    ['content-length of letters', list(...POST_LIST, 'content-length', 'x'), ErrorCode.PROTOCOL_ERROR],
    [
      'two different content-lengths',
      list(...POST_LIST, 'content-length', '0', 'content-length', '1'),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'a stream that depends on itself',
      frame('HEADERS', PRIORITY | END_HEADERS, 1, [0, 0, 0, 1, 0, ...POST]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'trailers without END_STREAM',
      Buffer.concat([post(1), frame('HEADERS', END_HEADERS, 1, TRAILERS)]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'trailers with a pseudo-header',
      Buffer.concat([post(1), frame('HEADERS', END_HEADERS | END_STREAM, 1, OK)]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'WINDOW_UPDATE of 0',
      Buffer.concat([post(1), frame('WINDOW_UPDATE', 0, 1, u32(0))]),
      ErrorCode.PROTOCOL_ERROR,
    ],
    [
      'WINDOW_UPDATE over 2^31-1',
      Buffer.concat([post(1), frame('WINDOW_UPDATE', 0, 1, u32(0x7fffffff))]),
      ErrorCode.FLOW_CONTROL_ERROR,
    ],
    [
      'PRIORITY of 4 octets',
      Buffer.concat([post(1), frame('PRIORITY', 0, 1, [0, 0, 0, 0])]),
      ErrorCode.FRAME_SIZE_ERROR,
    ],
  ];
  for (const [what, bytes, code] of cases) {
    test(what, async () => {
      await play(async (peer) => {
        peer.send(bytes);
        assert.equal(await peer.reset(1), code);
        assert.ok(await peer.settled(), 'the connection goes on');
      });
    });
  }

  test('more content than content-length', async () => {
    await play(async (peer) => {
      const head = encodeHeaders([...POST_LIST, 'content-length', '3']);
      peer.send(
        frame('HEADERS', END_HEADERS, 1, head),
        frame('DATA', 0, 1, [1, 2]),
        frame('DATA', 0, 1, [3, 4]),
      );
      assert.equal(await peer.reset(1), ErrorCode.PROTOCOL_ERROR);
      peer.send(frame('HEADERS', END_HEADERS, 3, head), frame('DATA', END_STREAM, 3, [1, 2]));
      assert.equal(await peer.reset(3), ErrorCode.PROTOCOL_ERROR);
      assert.ok(await peer.settled());
    });
  });

  test('more than the stream window', async () => {
    const keep = (stream: Http2Stream) => {
      stream.listener = new Exchange();
      stream.pause();
    };
    const script = async (peer: raw.RawPeer) => {
      await peer.nextOf('SETTINGS');
      peer.send(frame('SETTINGS', ACK, 0), post(1), frame('DATA', 0, 1, Buffer.alloc(101)));
      assert.equal(await peer.reset(1), ErrorCode.FLOW_CONTROL_ERROR);
      assert.ok(await peer.settled());
    };
    await play(script, { initialWindowSize: 100 }, keep);
  });
});
