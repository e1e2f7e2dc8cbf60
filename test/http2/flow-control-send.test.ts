/** Flow control and scheduling of what the engine sends (RFC 9113 section 5.2). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ErrorCode, encodeHeaders, type Http2Stream } from '../../src/http2/index.ts';
import { connect, EngineServer, Exchange } from './support/exchange.ts';
import { get, OK, POST, reply, TRAILERS, withPeer } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const { END_HEADERS, END_STREAM, frame, settings, u32 } = raw;

describe('what the engine sends', () => {
  test('a peer with a window of one octet gets its answer octet by octet', async () => {
    await withPeer(reply(20), settings([4, 1]), async (peer) => {
      peer.send(get(1));
      for (let i = 0; i < 20; i++) {
        const data = await peer.nextOf('DATA', 1);
        assert.equal(data?.payload.length, 1);
        peer.send(frame('WINDOW_UPDATE', 0, 1, u32(1)));
      }
      const end = await peer.nextOf('HEADERS', 1);
      assert.equal(end?.flags, END_HEADERS | END_STREAM);
    });
  });

  test('nothing is sent into a window of zero; raising INITIAL_WINDOW_SIZE opens it', async () => {
    await withPeer(reply(100), settings([4, 0]), async (peer) => {
      peer.send(get(1));
      assert.ok(await peer.nextOf('HEADERS', 1));
      assert.ok(await peer.settled());
      assert.equal(peer.frames.filter((f) => f.type === 'DATA').length, 0);
      peer.send(settings([4, 60]));
      assert.equal((await peer.nextOf('DATA', 1))?.payload.length, 60);
      peer.send(settings([4, 100]));
      assert.equal((await peer.nextOf('DATA', 1))?.payload.length, 40);
    });
  });

  test('a window made negative in flight must be filled up first', async () => {
    await withPeer(reply(200), settings([4, 100]), async (peer) => {
      peer.send(get(1));
      assert.equal((await peer.nextOf('DATA', 1))?.payload.length, 100);
      peer.send(settings([4, 40])); // the window is now -60
      peer.send(frame('WINDOW_UPDATE', 0, 1, u32(60)));
      assert.ok(await peer.settled());
      assert.equal(peer.frames.filter((f) => f.type === 'DATA').length, 1);
      peer.send(frame('WINDOW_UPDATE', 0, 1, u32(10)));
      assert.equal((await peer.nextOf('DATA', 1))?.payload.length, 10);
      peer.send(settings([4, 130])); // 90 more
      assert.equal((await peer.nextOf('DATA', 1))?.payload.length, 90);
    });
  });

  test('SETTINGS that push an open window over 2^31-1 end the connection', async () => {
    await withPeer(reply(1), settings([4, 0]), async (peer) => {
      peer.send(get(1), frame('WINDOW_UPDATE', 0, 1, u32(0x7ffffff0)));
      peer.send(frame('HEADERS', END_HEADERS, 3, POST), settings([4, 0]));
      const wide = Buffer.concat([frame('HEADERS', END_HEADERS, 5, POST)]);
      peer.send(wide, frame('WINDOW_UPDATE', 0, 5, u32(0x7ffffff0)), settings([4, 1000]));
      assert.equal(await peer.goaway(), ErrorCode.FLOW_CONTROL_ERROR);
    });
  });

  test('the connection window is shared, and streams take turns by the frame', async () => {
    await withPeer(reply(200_000), settings([4, 1 << 20]), async (peer) => {
      peer.send(get(1), get(3), get(5));
      let got = 0;
      while (got < 65_535) got += (await peer.nextOf('DATA'))?.payload.length ?? Number.NaN;
      assert.equal(got, 65_535);
      peer.send(frame('WINDOW_UPDATE', 0, 0, u32(10 * 16_384)));
      const order: number[] = [];
      for (let i = 0; i < 9; i++) order.push((await peer.nextOf('DATA'))?.id ?? 0);
      for (const id of [1, 3, 5])
        assert.equal(order.filter((o) => o === id).length, 3, `stream ${id} of ${order}`);
    });
  });

  test('a frame is never larger than the peer allows', async () => {
    await withPeer(reply(300_000), settings([4, 1 << 20], [5, 30_000]), async (peer) => {
      peer.send(frame('WINDOW_UPDATE', 0, 0, u32(1 << 20)), get(1));
      await peer.next((f) => f.id === 1 && f.type === 'HEADERS' && f.flags === (END_HEADERS | END_STREAM));
      const sizes = peer.frames.filter((f) => f.type === 'DATA').map((f) => f.payload.length);
      assert.equal(Math.max(...sizes), 30_000);
      assert.equal(
        sizes.reduce((a, b) => a + b),
        300_000,
      );
    });
  });

  test('field blocks longer than a frame go on in CONTINUATION', async () => {
    const big = encodeHeaders([':status', '200', 'x', '\u00ff'.repeat(40_000)]);
    const onStream = (stream: Http2Stream) => {
      stream.listener = new Exchange();
      stream.sendHeaders(big, true);
    };
    await withPeer(onStream, settings(), async (peer) => {
      peer.send(get(1));
      const parts = [
        await peer.nextOf('HEADERS', 1),
        await peer.nextOf('CONTINUATION', 1),
        await peer.nextOf('CONTINUATION', 1),
      ];
      assert.deepEqual(
        parts.map((p) => p?.flags),
        [END_STREAM, 0, END_HEADERS],
      );
      assert.deepEqual(Buffer.concat(parts.map((p) => p?.payload ?? Buffer.alloc(0))), Buffer.from(big));
    });
  });

  test('content in two parts goes out in one frame, or through the queue in order', async () => {
    const onStream = (stream: Http2Stream) => {
      stream.listener = new Exchange();
      stream.sendHeaders(OK);
      stream.sendParts(Buffer.from('head '), Buffer.from('body '));
      stream.sendParts(Buffer.from('more '), Buffer.alloc(5000, 'x'));
      stream.sendParts(Buffer.from('last'), Buffer.alloc(0), true);
    };
    await withPeer(onStream, settings([4, 100]), async (peer) => {
      peer.send(get(1));
      assert.equal((await peer.nextOf('DATA', 1))?.payload.toString(), 'head body ');
      peer.send(frame('WINDOW_UPDATE', 0, 1, u32(10_000)));
      const parts: Buffer[] = [];
      for (let last = 0; last === 0; ) {
        const data = await peer.nextOf('DATA', 1);
        parts.push(data?.payload ?? Buffer.alloc(0));
        last = data?.flags ?? END_STREAM;
      }
      assert.equal(Buffer.concat(parts).toString(), `more ${'x'.repeat(5000)}last`);
    });
  });

  test('sendData answers false over the high-water mark, and onDrain follows under the low one', async () => {
    let stream: Http2Stream | undefined;
    const exchange = new Exchange();
    const answers: boolean[] = [];
    const onStream = (opened: Http2Stream) => {
      stream = opened;
      opened.listener = exchange;
      opened.sendHeaders(OK);
      for (let i = 0; i < 4; i++) answers.push(opened.sendData(Buffer.alloc(50)));
    };
    const marks = { streamHighWaterMark: 100, streamLowWaterMark: 40 };
    await withPeer(
      onStream,
      settings([4, 0]),
      async (peer) => {
        peer.send(frame('HEADERS', END_HEADERS, 1, POST));
        assert.ok(await peer.nextOf('HEADERS', 1));
        assert.deepEqual(answers, [true, true, false, false]);
        assert.equal(stream?.queuedBytes, 200);
        peer.send(frame('WINDOW_UPDATE', 0, 1, u32(159)));
        assert.ok(await peer.settled());
        assert.deepEqual(exchange.events, []);
        peer.send(frame('WINDOW_UPDATE', 0, 1, u32(1)));
        assert.ok(await peer.settled());
        assert.deepEqual(exchange.events, ['drain']);
        assert.equal(stream?.queuedBytes, 40);
      },
      marks,
    );
  });
});

describe('many streams', () => {
  test('10 000 at once on one connection, all answered in the end', async () => {
    const waiting: Http2Stream[] = [];
    const onStream = (stream: Http2Stream) => {
      stream.listener = new Exchange();
      waiting.push(stream);
      if (waiting.length === 10_000)
        for (const each of waiting) each.sendReply(OK, Buffer.from(String(each.id)), TRAILERS);
    };
    await using server = new EngineServer(onStream);
    const { owner, connection } = connect(await server.listen());
    await owner.ready;
    const exchanges = Array.from({ length: 10_000 }, () => new Exchange());
    const ids = exchanges.map((exchange) => connection.request(POST, exchange, true).id);
    assert.equal(connection.canOpenStream, false);
    await Promise.all(exchanges.map((exchange) => exchange.done));
    exchanges.forEach((exchange, i) => {
      assert.equal(exchange.body.toString(), String(ids[i]));
    });
    assert.equal(connection.openStreams, 0);
    assert.ok(owner.slots > 0);
    connection.destroy();
  });
});
