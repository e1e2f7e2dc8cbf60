/** Hostile peers: each is cut off with the right error code, and what it may cost is bounded. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders, type Http2Settings, type Http2Stream } from '../../src/http2/index.ts';
import { until } from '../support/until.ts';
import { EngineServer, Exchange } from './support/exchange.ts';
import { OK, POST } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const { END_HEADERS, END_STREAM, frame, settings, u32 } = raw;
const NONE = encodeHeaders([]);
/** Rates that a few frames exceed, and little patience. */
const STRICT = { maxResetsBurst: 50, maxResetsPerSecond: 1, maxControlFramesPerSecond: 20, maxFloodMs: 200 };

function keep(stream: Http2Stream): void {
  stream.listener = new Exchange();
}

async function attack(
  limit: string,
  given: Partial<Http2Settings>,
  script: (peer: raw.RawPeer) => Promise<void> | void,
  onStream = keep,
  code: number = ErrorCode.ENHANCE_YOUR_CALM,
): Promise<void> {
  await using server = new EngineServer(onStream, given);
  const peer = raw.rawClient(await server.listen());
  await script(peer);
  assert.equal(await peer.goaway(), code);
  await peer.closed();
  await server.owners[0]?.closed;
  if (limit !== '') assert.ok(server.owners[0]?.limits.includes(limit), `${limit} is reported`);
  assert.equal(server.connections[0]?.openStreams, 0);
  peer.close();
}

describe('floods', () => {
  test('rapid reset', async () => {
    await attack('maxFloodMs', STRICT, (peer) => {
      for (let id = 1; id < 400; id += 2)
        peer.send(frame('HEADERS', END_HEADERS, id, POST), frame('RST_STREAM', 0, id, u32(8)));
    });
  });

  test('cancelling answered streams is no attack', async () => {
    await using server = new EngineServer(
      (stream) => {
        keep(stream);
        stream.sendHeaders(OK);
      },
      { maxResetsBurst: 10, maxResetsPerSecond: 1 },
    );
    const peer = raw.rawClient(await server.listen());
    for (let id = 1; id < 400; id += 2)
      peer.send(frame('HEADERS', END_HEADERS, id, POST), frame('RST_STREAM', 0, id, u32(8)));
    assert.ok(await peer.settled());
    peer.close();
  });

  test('giving up many calls after a while is no attack', async () => {
    await using server = new EngineServer(keep, { maxResetsBurst: 10, maxResetsPerSecond: 1 });
    const peer = raw.rawClient(await server.listen());
    const ids = Array.from({ length: 200 }, (_, i) => 2 * i + 1);
    peer.send(...ids.map((id) => frame('HEADERS', END_HEADERS, id, POST)));
    assert.ok(await peer.settled());
    // As if two seconds had passed.
    for (const stream of server.owners[0]?.streams ?? [])
      Object.assign(stream, { openedAt: stream.openedAt - 2000 });
    peer.send(...ids.map((id) => frame('RST_STREAM', 0, id, u32(8))));
    assert.ok(await peer.settled());
    peer.close();
  });

  test('making the server reset its streams', async () => {
    await attack('maxFloodMs', STRICT, (peer) => {
      for (let id = 1; id < 400; id += 2)
        peer.send(frame('HEADERS', END_HEADERS, id, POST), frame('WINDOW_UPDATE', 0, id, u32(0)));
    });
  });

  test('opening streams over the limit again and again', async () => {
    await attack('maxConcurrentStreams', { ...STRICT, maxConcurrentStreams: 2 }, (peer) => {
      for (let id = 1; id < 400; id += 2) peer.send(frame('HEADERS', END_HEADERS, id, POST));
    });
  });

  test('CONTINUATION without end', async () => {
    await attack('maxContinuationFrames', { maxContinuationFrames: 10 }, (peer) => {
      peer.send(frame('HEADERS', 0, 1, POST));
      for (let i = 0; i < 20; i++) peer.send(frame('CONTINUATION', 0, 1));
    });
  });

  test('CONTINUATION with much in it', async () => {
    await attack('maxHeaderListSize', { maxHeaderListSize: 20_000 }, (peer) => {
      peer.send(frame('HEADERS', 0, 1, POST));
      for (let i = 0; i < 8; i++) peer.send(frame('CONTINUATION', 0, 1, Buffer.alloc(16_000)));
    });
  });

  for (const [what, bytes] of [
    ['SETTINGS', settings()],
    ['PING', frame('PING', 0, 0, Buffer.alloc(8))],
  ] as const) {
    test(`${what} frames`, async () => {
      await attack('maxFloodMs', STRICT, (peer) => {
        for (let i = 0; i < 100; i++) peer.send(bytes);
      });
    });
  }

  test('empty DATA frames', async () => {
    await attack('maxFloodMs', STRICT, (peer) => {
      peer.send(frame('HEADERS', END_HEADERS, 1, POST));
      for (let i = 0; i < 100; i++) peer.send(frame('DATA', 0, 1));
    });
  });

  test('GOAWAY frames, one after the other, of a client that stays', async () => {
    await attack('maxFloodMs', STRICT, (peer) => {
      peer.send(frame('HEADERS', END_HEADERS, 1, POST));
      for (let i = 0; i < 100; i++) peer.send(frame('GOAWAY', 0, 0, [...u32(0), ...u32(1)]));
    });
  });

  test('requests whose answers are never read', async () => {
    const big = Buffer.alloc(60_000);
    const answerAll = (stream: Http2Stream) => {
      keep(stream);
      stream.sendReply(OK, big, NONE);
    };
    await using server = new EngineServer(answerAll, { maxQueuedBytes: 1 << 20 });
    const peer = raw.rawClient(await server.listen());
    peer.socket.pause();
    for (let id = 1; id < 400; id += 2) peer.send(frame('HEADERS', END_HEADERS | END_STREAM, id, POST));
    await until('a connection', () => server.owners.length > 0);
    await server.owners[0]?.closed;
    assert.equal(server.owners[0]?.error?.code, ErrorCode.ENHANCE_YOUR_CALM);
    assert.ok(server.owners[0]?.limits.includes('maxQueuedBytes'));
    peer.close();
  });

  test('PINGs whose answers are never read', async () => {
    await using server = new EngineServer(keep, { maxUnreadBytes: 100_000, maxControlFramesPerSecond: 1e9 });
    const peer = raw.rawClient(await server.listen());
    peer.socket.pause();
    const many = Buffer.concat(Array.from({ length: 4000 }, () => frame('PING', 0, 0, Buffer.alloc(8))));
    await until('the end of the connection', () => {
      peer.send(many);
      return server.owners[0]?.closes === 1;
    });
    assert.equal(server.owners[0]?.error?.code, ErrorCode.ENHANCE_YOUR_CALM);
    peer.close();
  });
});

describe('bombs', () => {
  test('an HPACK block that expands to much more than it is', async () => {
    await attack('', { maxHeaderListSize: 16_384 }, (peer) => {
      const value = Buffer.from('v'.repeat(3000));
      const insert = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xb9, 0x16]), value]);
      peer.send(frame('HEADERS', END_HEADERS, 1, Buffer.concat([insert, Buffer.alloc(1000, 0xbe)])));
    });
  });

  test('a window over 2^31-1', async () => {
    const overflow = (peer: raw.RawPeer) => peer.send(frame('WINDOW_UPDATE', 0, 0, u32(0x7fffffff)));
    await attack('', {}, overflow, keep, ErrorCode.FLOW_CONTROL_ERROR);
  });

  test('more than the window of the connection', async () => {
    const send = (peer: raw.RawPeer) => {
      peer.send(frame('HEADERS', END_HEADERS, 1, POST), frame('HEADERS', END_HEADERS, 3, POST));
      for (let i = 0; i < 6; i++) peer.send(frame('DATA', 0, i % 2 === 0 ? 1 : 3, Buffer.alloc(16_000)));
    };
    const given = { connectionWindowSize: 65_535, initialWindowSize: 65_535, maxHeldBytes: 1 };
    const pausing = (stream: Http2Stream) => {
      keep(stream);
      stream.pause();
    };
    await attack('', given, send, pausing, ErrorCode.FLOW_CONTROL_ERROR);
  });
});

describe('peers that are too slow', () => {
  test('no preface', async () => {
    await using server = new EngineServer(keep, { prefaceTimeoutMs: 20 });
    const peer = raw.rawClient(await server.listen(), Buffer.from('PRI'));
    assert.equal(await peer.goaway(), ErrorCode.SETTINGS_TIMEOUT);
    peer.close();
  });

  test('no acknowledgement of SETTINGS', async () => {
    await attack('settingsTimeoutMs', { settingsTimeoutMs: 20 }, () => {}, keep, ErrorCode.SETTINGS_TIMEOUT);
  });

  test('a field block that trickles in', async () => {
    await attack('headersTimeoutMs', { headersTimeoutMs: 40 }, async (peer) => {
      peer.send(frame('HEADERS', 0, 1, POST));
      for (let i = 0; i < 8 && !peer.ended; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        peer.send(frame('CONTINUATION', 0, 1));
      }
    });
  });

  test('a frame that is never finished', async () => {
    await attack('frameTimeoutMs', { frameTimeoutMs: 20 }, (peer) => {
      peer.send(frame('DATA', 0, 1, Buffer.alloc(100)).subarray(0, 50));
    });
  });

  test('a peer that does not read', async () => {
    const endless = (stream: Http2Stream) => {
      keep(stream);
      stream.sendHeaders(OK);
      stream.sendData(Buffer.alloc(64 << 20));
    };
    await using server = new EngineServer(endless, { writeTimeoutMs: 50, lingerTimeoutMs: 20 });
    const wide = Buffer.concat([
      raw.MAGIC,
      settings([4, 0x7fffffff]),
      frame('WINDOW_UPDATE', 0, 0, u32(0x7fff0000)),
    ]);
    const peer = raw.rawClient(await server.listen(), wide);
    peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, POST));
    peer.socket.pause();
    await until('its end', () => server.owners[0]?.closes === 1);
    assert.ok(server.owners[0]?.limits.includes('writeTimeoutMs'));
    peer.close();
  });
});

test('other connections are served while one attacks', async () => {
  const onStream = (stream: Http2Stream) => {
    keep(stream);
    if (stream.endStreamReceived) stream.sendReply(OK, Buffer.from('x'), NONE);
  };
  await using server = new EngineServer(onStream, { maxControlFramesPerSecond: 1000, maxFloodMs: 300 });
  const port = await server.listen();
  const bad = raw.rawClient(port);
  const good = raw.rawClient(port);
  const flood: Buffer[] = [];
  for (let id = 1; id < 20_000; id += 2)
    flood.push(frame('HEADERS', END_HEADERS, id, POST), frame('RST_STREAM', 0, id, u32(8)));
  bad.send(Buffer.concat(flood));
  for (let id = 1; id < 100; id += 2) {
    good.send(frame('HEADERS', END_HEADERS | END_STREAM, id, POST));
    assert.ok(await good.nextOf('DATA', id));
  }
  assert.equal(await bad.goaway(), ErrorCode.ENHANCE_YOUR_CALM);
  bad.close();
  good.close();
});

test('a peer that goes on sending after its end is not read for ever', async () => {
  await using server = new EngineServer(keep, { lingerTimeoutMs: 600_000 });
  const socket = net.connect({ port: await server.listen(), host: '127.0.0.1', allowHalfOpen: true });
  const peer = new raw.RawPeer(socket);
  peer.send(raw.MAGIC, settings(), frame('PING', 0, 1, Buffer.alloc(8)));
  assert.equal(await peer.goaway(), ErrorCode.PROTOCOL_ERROR);
  const flood = Buffer.alloc(64 << 10);
  for (let sent = 0; !socket.destroyed; sent += flood.length) {
    assert.ok(sent < 64 << 20, 'it is still read');
    const full = !socket.write(flood);
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      if (full) socket.once('drain', resolve);
      else setImmediate(resolve);
    });
  }
});
