/** The server role, frame by frame, against a scripted client on a raw socket. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders, type Http2Settings, type Http2Stream } from '../../src/http2/index.ts';
import { EngineServer, Exchange, field } from './support/exchange.ts';
import * as raw from './support/raw-peer.ts';

const { ACK, END_HEADERS, END_STREAM, frame, PADDED, PRIORITY, settings, u32 } = raw;

const POST_LIST = [':method', 'POST', ':scheme', 'http', ':path', '/x', ':authority', 'a'];
const POST = encodeHeaders(POST_LIST);
const OK = encodeHeaders([':status', '200']);
const TRAILERS = encodeHeaders(['grpc-status', '0']);

/** Answers with what it got once it has everything. */
class Answer extends Exchange {
  override onEnd(stream: Http2Stream): void {
    super.onEnd(stream);
    stream.sendReply(OK, this.body, TRAILERS);
  }
}

function answer(stream: Http2Stream): void {
  stream.listener = new Answer();
}

function post(id: number, flags = END_HEADERS): Buffer {
  return frame('HEADERS', flags, id, POST);
}

function list(...fields: string[]): Buffer {
  return frame('HEADERS', END_HEADERS | END_STREAM, 1, encodeHeaders(fields));
}

/** Starts a server, plays `script` with it, and checks that nothing was left over. */
async function play(
  script: (peer: raw.RawPeer, server: EngineServer) => Promise<void>,
  given: Partial<Http2Settings> = {},
  onStream = answer,
  first?: Buffer,
): Promise<void> {
  await using server = new EngineServer(onStream, given);
  const peer = raw.rawClient(await server.listen(), first);
  await script(peer, server);
  peer.close();
  await server.owners[0]?.closed;
  assert.equal(server.connections[0]?.openStreams, 0);
  assert.deepEqual(server.owners[0]?.failures, []);
  for (const stream of server.owners[0]?.streams ?? []) {
    const events = (stream.listener as Exchange).events.filter((event) => event === 'close');
    assert.equal(events.length, 1, 'onClose exactly once');
  }
}

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
    ['value that starts with a space', list(...POST_LIST, 'a', ' b'), ErrorCode.PROTOCOL_ERROR],
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
