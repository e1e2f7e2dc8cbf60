/** Flow control of what the engine receives, and streams that are paused (RFC 9113 section 5.2). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Http2Stream } from '../../src/http2/index.ts';
import { Exchange } from './support/exchange.ts';
import { get, POST, reply, TRAILERS, withPeer } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const { ACK, END_HEADERS, END_STREAM, frame, settings } = raw;

describe('what the engine receives', () => {
  test('the window is given back in halves, not frame by frame', async () => {
    const quiet = (stream: Http2Stream) => {
      stream.listener = new Exchange();
    };
    await withPeer(
      quiet,
      settings(),
      async (peer) => {
        await peer.nextOf('SETTINGS');
        peer.send(frame('SETTINGS', ACK, 0), frame('HEADERS', END_HEADERS, 1, POST));
        for (let i = 0; i < 100; i++) peer.send(frame('DATA', 0, 1, Buffer.alloc(100)));
        assert.ok(await peer.settled());
        const updates = peer.frames.filter((f) => f.type === 'WINDOW_UPDATE' && f.id === 1);
        assert.deepEqual(
          updates.map((f) => f.payload.readUInt32BE(0)),
          [2000, 2000, 2000, 2000, 2000],
        );
      },
      { initialWindowSize: 4000 },
    );
  });

  test('a paused stream keeps what comes, gives no window back, and starves nobody', async () => {
    const paused = new Exchange();
    let first: Http2Stream | undefined;
    const onStream = (stream: Http2Stream) => {
      if (stream.id !== 1) {
        reply(5)(stream);
        return;
      }
      first = stream;
      stream.listener = paused;
      stream.pause();
    };
    const sizes = { initialWindowSize: 65_535, connectionWindowSize: 65_535 };
    await withPeer(
      onStream,
      settings(),
      async (peer) => {
        peer.send(frame('HEADERS', END_HEADERS, 1, POST));
        for (let i = 0; i < 4; i++) peer.send(frame('DATA', 0, 1, Buffer.alloc(16_000, i)));
        peer.send(frame('HEADERS', END_HEADERS | END_STREAM, 1, TRAILERS));
        const credit = await peer.nextOf('WINDOW_UPDATE', 0);
        assert.ok((credit?.payload.readUInt32BE(0) ?? 0) >= 32_000, 'the connection gets its window back');
        peer.send(get(3));
        assert.ok(await peer.nextOf('DATA', 3));
        assert.deepEqual(paused.events, []);
        assert.equal(
          peer.frames.some((f) => f.type === 'WINDOW_UPDATE' && f.id === 1),
          false,
        );
        first?.resume();
        assert.deepEqual(paused.events, [], 'not from inside resume');
        assert.ok(await peer.settled());
        assert.deepEqual(paused.events, ['data', 'trailers', 'end']);
        assert.equal(paused.bytes, 64_000);
      },
      sizes,
    );
  });

  test('too much held for paused streams shuts the window of the connection until they go on', async () => {
    const streams: Http2Stream[] = [];
    const onStream = (stream: Http2Stream) => {
      streams.push(stream);
      stream.listener = new Exchange();
      stream.pause();
    };
    const sizes = { initialWindowSize: 65_535, connectionWindowSize: 65_535, maxHeldBytes: 1000 };
    await withPeer(
      onStream,
      settings(),
      async (peer) => {
        peer.send(frame('HEADERS', END_HEADERS, 1, POST), frame('DATA', 0, 1, Buffer.alloc(16_000)));
        for (let i = 0; i < 2; i++) peer.send(frame('DATA', 0, 1, Buffer.alloc(16_000)));
        assert.ok(await peer.settled());
        assert.equal(
          peer.frames.some((f) => f.type === 'WINDOW_UPDATE'),
          false,
        );
        streams[0]?.resume();
        assert.ok(await peer.nextOf('WINDOW_UPDATE', 0));
      },
      sizes,
    );
  });

  test('a window full of frames of one octet is kept and delivered in few pieces', async () => {
    const exchange = new Exchange();
    const streams: Http2Stream[] = [];
    const onStream = (stream: Http2Stream) => {
      streams.push(stream);
      stream.listener = exchange;
      stream.pause();
    };
    await withPeer(onStream, settings(), async (peer) => {
      const octets = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));
      const frames = Array.from(octets, (octet) => frame('DATA', 0, 1, [octet]));
      const large = frame('DATA', END_STREAM, 1, Buffer.alloc(9000, 1));
      peer.send(frame('HEADERS', END_HEADERS, 1, POST), ...frames, large);
      assert.ok(await peer.settled());
      streams[0]?.resume();
      assert.ok(await peer.settled());
      assert.ok(exchange.body.equals(Buffer.concat([octets, Buffer.alloc(9000, 1)])));
      assert.ok(exchange.chunks.length < 20, `${exchange.chunks.length} pieces`);
    });
  });

  test('what is kept of a request for a paused stream is not delivered when the client resets it', async () => {
    const pausing = (stream: Http2Stream) => {
      stream.listener = new Exchange();
      stream.pause();
    };
    await withPeer(pausing, settings(), async (peer, server) => {
      const data = frame('DATA', 0, 1, Buffer.alloc(100));
      peer.send(frame('HEADERS', END_HEADERS, 1, POST), data, frame('RST_STREAM', 0, 1, raw.u32(8)));
      // Nor what is whole: nobody waits for its answer, and none may be sent (RFC 9113 section 6.4).
      peer.send(frame('HEADERS', END_HEADERS, 3, POST), frame('DATA', END_STREAM, 3, Buffer.alloc(100)));
      peer.send(frame('RST_STREAM', 0, 3, raw.u32(8)));
      assert.ok(await peer.settled());
      const events = server.owners[0]?.streams.map(({ listener }) => (listener as Exchange).events);
      assert.deepEqual(events, [['close'], ['close']]);
      assert.equal(server.connections[0]?.receiver.held, 0);
    });
  });

  test('pausing inside onData stops the delivery at once', async () => {
    class OneByOne extends Exchange {
      override onData(stream: Http2Stream, chunk: Buffer): void {
        this.bytes += chunk.length;
        this.events.push('data');
        stream.pause();
        setImmediate(() => stream.resume());
      }
    }
    const exchange = new OneByOne();
    await withPeer(
      (stream) => {
        stream.listener = exchange;
      },
      settings(),
      async (peer) => {
        const data = (n: number) => frame('DATA', n === 5 ? END_STREAM : 0, 1, Buffer.alloc(9000 + n));
        peer.send(frame('HEADERS', END_HEADERS, 1, POST), data(1), data(2), data(3), data(4), data(5));
        while (!exchange.events.includes('end')) assert.ok(await peer.settled());
        assert.deepEqual(exchange.events, ['data', 'data', 'data', 'data', 'data', 'end']);
        assert.equal(exchange.bytes, 45_015);
      },
    );
  });
});
