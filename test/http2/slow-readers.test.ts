/** Readers of a client's streams that stop: what is kept for them is bounded, and the others are served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ErrorCode, type Http2Stream } from '../../src/http2/index.ts';
import type { Stream } from '../../src/http2/stream.ts';
import { Exchange } from './support/exchange.ts';
import { OK, POST } from './support/play.ts';
import * as raw from './support/raw-peer.ts';
import { scene } from './support/scripted-server.ts';

const { END_HEADERS, frame } = raw;
const KIB = 1024;
/** Kept for all paused streams at most. */
const HELD = 64 * KIB;

/** Stops reading with the response's headers, and again with each piece of its content. */
class Stopped extends Exchange {
  override onHeaders(stream: Http2Stream): void {
    super.onHeaders(stream, []);
    stream.pause();
  }
  override onData(stream: Http2Stream, chunk: Buffer): void {
    super.onData(stream, chunk);
    stream.pause();
  }
}

test('the stream that was paused for longest goes, and the window stays open for the others', async () => {
  await using play = await scene({
    maxHeldBytes: HELD,
    connectionWindowSize: 128 * KIB,
    initialWindowSize: 512 * KIB,
  });
  const { connection, peer, owner } = play;
  const stopped = [new Stopped(), new Stopped(), new Stopped()];
  const reader = new Exchange();
  const [first, second, third] = stopped.map((exchange) => connection.request(POST, exchange, true)) as [
    Stream,
    Stream,
    Stream,
  ];
  const reading = connection.request(POST, reader, true);
  await peer.nextOf('HEADERS', reading.id);
  const send = async (stream: Http2Stream, kib: number): Promise<void> => {
    for (let sent = 0; sent < kib; sent += 16) peer.send(frame('DATA', 0, stream.id, Buffer.alloc(16 * KIB)));
    assert.ok(await peer.settled());
  };
  for (const stream of [first, second, third, reading])
    peer.send(frame('HEADERS', END_HEADERS, stream.id, OK));
  // Each begins to wait in a turn of its own; then the first one reads a little, which makes the second the oldest.
  await send(first, 32);
  for (const stream of [second, third]) await send(stream, 16);
  first.resume();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stopped[0]?.bytes, 16 * KIB);
  assert.deepEqual(
    [first, second, third].map(({ closed }) => closed),
    [false, false, false],
  );

  await send(third, 32);
  const resets = peer.frames.filter(({ type }) => type === 'RST_STREAM');
  assert.deepEqual(
    resets.map(({ id, payload }) => [id, payload.readUInt32BE(0)]),
    [[second.id, ErrorCode.ENHANCE_YOUR_CALM]],
  );
  assert.deepEqual(
    [first, second, third].map(({ closed }) => closed),
    [false, true, false],
  );
  assert.deepEqual(
    [first, second, third].map(({ tooSlow }) => tooSlow),
    [false, true, false],
  );
  assert.deepEqual(owner.limits, ['maxHeldBytes']);
  assert.ok(connection.receiver.held <= HELD);

  // Several times the window of the connection.
  for (let round = 0; round < 8; round++) await send(reading, 64);
  assert.equal(reader.bytes, 512 * KIB);
  third.resume();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stopped[2]?.bytes, 16 * KIB);
});

test('as many go as it takes: one of which little is kept does not leave the window shut', async () => {
  await using play = await scene({
    maxHeldBytes: HELD,
    connectionWindowSize: 128 * KIB,
    initialWindowSize: 512 * KIB,
  });
  const { connection, peer } = play;
  const small = connection.request(POST, new Stopped(), true);
  const large = connection.request(POST, new Stopped(), true);
  const reader = new Exchange();
  const reading = connection.request(POST, reader, true);
  await peer.nextOf('HEADERS', reading.id);
  for (const stream of [small, large, reading]) peer.send(frame('HEADERS', END_HEADERS, stream.id, OK));
  peer.send(frame('DATA', 0, small.id, Buffer.alloc(10)));
  assert.ok(await peer.settled());
  for (let sent = 0; sent <= HELD; sent += 14 * KIB)
    peer.send(frame('DATA', 0, large.id, Buffer.alloc(14 * KIB)));
  assert.ok(await peer.settled());
  assert.deepEqual([small.closed, large.closed, connection.receiver.held], [true, true, 0]);
  for (let sent = 0; sent < 512; sent += 16) {
    peer.send(frame('DATA', 0, reading.id, Buffer.alloc(16 * KIB)));
    assert.ok(await peer.settled());
  }
  assert.equal(reader.bytes, 512 * KIB);
});
