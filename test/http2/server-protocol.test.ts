/** The server role, frame by frame, against a scripted client on a raw socket. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { Exchange, field } from './support/exchange.ts';
import * as raw from './support/raw-peer.ts';

const { END_HEADERS, END_STREAM, frame, PADDED, PRIORITY, settings, u32 } = raw;

import { answer, list, OK, POST, POST_LIST, play, post, TRAILERS } from './support/play.ts';

describe('what is right', () => {
  test('padding, priority, unknown frames, settings and flags are accepted', async () => {
    await play(async (peer) => {
      const padded = [3, 0, 0, 0, 0, 7, ...POST, 0, 0, 0];
      peer.send(
        frame(77, 0xff, 0, [1, 2, 3]),
        settings([0x99, 5], [0xf000, 1]),
        frame('HEADERS', PADDED | PRIORITY | END_HEADERS | 0xc2, 1, padded),
        frame(78, 0xff, 1, [1, 2, 3]),
        frame('PRIORITY', 0, 9, [0, 0, 0, 1, 0]),
        frame('DATA', PADDED, 1, [2, 104, 105, 0, 0]),
        frame('DATA', 0, 1),
        frame('HEADERS', END_STREAM | END_HEADERS, 1, TRAILERS),
      );
      const data = await peer.nextOf('DATA', 1);
      assert.equal(data?.payload.toString(), 'hi');
    });
  });

  test('the :authority of old Go clients', async () => {
    await play(
      async (peer, server) => {
        const odd = '#initially=[http://127.0.0.1:2379]';
        peer.send(list(':method', 'POST', ':scheme', 'http', ':path', '/x', ':authority', odd));
        await peer.nextOf('DATA', 1);
        assert.equal(field(server.owners[0]?.streams[0]?.headers ?? [], ':authority'), odd);
      },
      {},
      (stream) => {
        stream.listener = new Exchange();
        stream.sendReply(OK, Buffer.from('x'), TRAILERS);
      },
    );
  });

  test('a field block cut into CONTINUATION frames at every byte', async () => {
    await play(async (peer) => {
      for (let cut = 0; cut <= POST.length; cut++) {
        const id = 2 * cut + 1;
        const parts = [
          frame('HEADERS', END_STREAM, id, POST.subarray(0, cut)),
          frame('CONTINUATION', END_HEADERS, id, POST.subarray(cut)),
        ];
        peer.send(...parts);
        assert.ok(await peer.nextOf('HEADERS', id));
      }
      const id = 2 * POST.length + 3;
      peer.send(frame('HEADERS', END_STREAM, id));
      for (const octet of POST) peer.send(frame('CONTINUATION', 0, id, [octet]));
      peer.send(frame('CONTINUATION', END_HEADERS, id));
      assert.ok(await peer.nextOf('HEADERS', id));
    });
  });

  test('input one byte at a time', async () => {
    await play(async (peer) => {
      peer.socket.setNoDelay(true);
      for (const octet of Buffer.concat([post(1), frame('DATA', END_STREAM, 1, Buffer.from('hello'))])) {
        peer.send(Buffer.of(octet));
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal((await peer.nextOf('DATA', 1))?.payload.toString(), 'hello');
    });
  });

  test('an answer before the end of the request is followed by RST_STREAM NO_ERROR', async () => {
    await play(
      async (peer) => {
        peer.send(post(1));
        assert.ok(await peer.nextOf('HEADERS', 1));
        assert.equal(await peer.reset(1), ErrorCode.NO_ERROR);
        peer.send(frame('DATA', END_STREAM, 1, [1]));
        assert.ok(await peer.settled());
      },
      {},
      (stream) => {
        stream.listener = new Exchange();
        stream.sendReply(OK, Buffer.from('x'), TRAILERS);
      },
    );
  });

  test('a peer that lowers its header table is told that ours is not used', async () => {
    await play(async (peer) => {
      peer.send(settings([1, 0]), post(1, END_HEADERS | END_STREAM), post(3, END_HEADERS | END_STREAM));
      assert.equal((await peer.nextOf('HEADERS', 1))?.payload[0], 0x20);
      assert.notEqual((await peer.nextOf('HEADERS', 3))?.payload[0], 0x20);
    });
  });

  test('a header list over the limit is answered with 431, and the connection goes on', async () => {
    await play(
      async (peer) => {
        const big = encodeHeaders([...POST_LIST, 'x', 'y'.repeat(1500)]);
        peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, big));
        const headers = await peer.nextOf('HEADERS', 1);
        assert.ok(headers?.payload.includes('431') || headers?.payload.length);
        peer.send(post(3, END_HEADERS | END_STREAM));
        assert.ok(await peer.nextOf('HEADERS', 3));
      },
      { maxHeaderListSize: 1000 },
    );
  });
});

describe('closed streams', () => {
  test('DATA and HEADERS after END_STREAM', async () => {
    for (const type of ['DATA', 'HEADERS']) {
      await play(async (peer) => {
        peer.send(post(1, END_HEADERS | END_STREAM));
        await peer.nextOf('HEADERS', 1);
        peer.send(frame(type, END_HEADERS | END_STREAM, 1, POST));
        assert.equal(await peer.goaway(), ErrorCode.STREAM_CLOSED);
      });
    }
  });

  test('DATA and HEADERS in half-closed (remote)', async () => {
    const wait = (stream: Http2Stream) => {
      stream.listener = new Exchange();
    };
    for (const type of ['DATA', 'HEADERS']) {
      await play(
        async (peer) => {
          peer.send(post(1, END_HEADERS | END_STREAM), frame(type, END_HEADERS, 1, POST));
          assert.equal(await peer.reset(1), ErrorCode.STREAM_CLOSED);
          assert.ok(await peer.settled());
        },
        {},
        wait,
      );
    }
  });

  test('a request that was reset is not delivered, complete or not, and gets no answer', async () => {
    const paused = (stream: Http2Stream) => {
      answer(stream);
      stream.pause();
    };
    await play(
      async (peer, server) => {
        peer.send(post(1));
        assert.ok(await peer.settled());
        peer.send(frame('DATA', END_STREAM, 1, [1]), frame('RST_STREAM', 0, 1, u32(8)));
        assert.ok(await peer.settled());
        const exchange = server.owners[0]?.streams[0]?.listener as Exchange;
        assert.deepEqual([exchange.events, exchange.code], [['close'], 8]);
        assert.deepEqual(
          peer.frames.filter(({ id }) => id === 1),
          [],
        );
      },
      {},
      paused,
    );
  });

  test('RST_STREAM in every state', async () => {
    const reset = (id: number) => frame('RST_STREAM', 0, id, u32(8));
    const listeners: Exchange[] = [];
    const start = (stream: Http2Stream) => {
      const exchange = new Exchange();
      listeners.push(exchange);
      stream.listener = exchange;
      if (stream.id === 5) stream.sendHeaders(OK);
      if (stream.id === 7) stream.sendReply(OK, Buffer.from('x'), TRAILERS);
      if (stream.id === 9) stream.reset(ErrorCode.CANCEL);
      if (stream.id === 11) stream.sendData(Buffer.alloc(1 << 20));
    };
    await play(
      async (peer) => {
        peer.send(post(1), reset(1), post(3, END_HEADERS | END_STREAM), reset(3), post(5), reset(5));
        peer.send(post(7), reset(7), reset(7), post(9), reset(9), post(11), reset(11));
        peer.send(
          post(13),
          frame('DATA', 0, 13, [1]),
          frame('HEADERS', END_HEADERS | END_STREAM, 13, TRAILERS),
          reset(13),
        );
        assert.ok(await peer.settled());
        assert.deepEqual(
          listeners.map((l) => [l.code, l.local]),
          [
            [8, false],
            [8, false],
            [8, false],
            [0, true],
            [8, true],
            [8, false],
            [8, false],
          ],
        );
      },
      {},
      start,
    );
  });

  test('frames on a stream we reset are ignored, also when there are many', async () => {
    await play(
      async (peer) => {
        for (let id = 1; id < 400; id += 2) peer.send(post(id));
        assert.equal(await peer.reset(399), ErrorCode.CANCEL);
        for (let id = 1; id < 400; id += 2) {
          peer.send(
            frame('DATA', 0, id, [1]),
            frame('WINDOW_UPDATE', 0, id, u32(1)),
            frame('HEADERS', END_HEADERS | END_STREAM, id, TRAILERS),
          );
        }
        assert.ok(await peer.settled());
      },
      {},
      (stream) => {
        stream.listener = new Exchange();
        stream.reset(ErrorCode.CANCEL);
      },
    );
  });
});
