/** What a server does when too much is held for the requests of a connection. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  ErrorCode,
  encodeHeaders,
  Http2Connection,
  type Http2Settings,
  type Http2Stream,
} from '../../src/http2/index.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { until } from '../support/until.ts';
import { EngineServer, Exchange, Owner } from './support/exchange.ts';
import { MemorySocket } from './support/memory-socket.ts';
import { OK, POST_LIST, post, TRAILERS } from './support/play.ts';
import * as raw from './support/raw-peer.ts';

const { END_STREAM, frame } = raw;
const KIB = 1 << 10;
const WINDOW = 64 * KIB;

/** A server that answers when it is told to, a ledger, and a client that keeps to no window but is not cut for it. */
class Play implements AsyncDisposable {
  readonly ledger: Ledger;
  readonly server: EngineServer;
  readonly streams: Http2Stream[] = [];
  #peers: raw.RawPeer[] = [];
  #port = 0;

  private constructor(limit: number, settings: Partial<Http2Settings>) {
    this.ledger = new Ledger(limit);
    const sizes = { initialWindowSize: WINDOW, connectionWindowSize: 1 << 20, ...settings };
    const onStream = (stream: Http2Stream): void => {
      this.streams.push(stream);
      stream.listener = new Exchange();
    };
    this.server = new EngineServer(onStream, sizes, this.ledger);
  }

  static async begin(limit: number, settings: Partial<Http2Settings> = {}): Promise<Play> {
    const play = new Play(limit, settings);
    play.#port = await play.server.listen();
    return play;
  }

  async peer(): Promise<raw.RawPeer> {
    const peer = raw.rawClient(this.#port);
    this.#peers.push(peer);
    await peer.nextOf('SETTINGS', 0);
    peer.send(frame('SETTINGS', raw.ACK, 0));
    assert.ok(await peer.settled());
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.close();
    await this.server[Symbol.asyncDispose]();
    assert.equal(this.ledger.held, 0, 'nothing is held in the end');
    assert.deepEqual(
      this.server.owners.flatMap(({ failures }) => failures),
      [],
    );
  }
}

/** DATA frames of so many octets in all. */
function data(id: number, octets: number, flags = 0): Buffer {
  const frames: Buffer[] = [];
  for (let left = octets; left > 0; left -= 16 * KIB) {
    const last = left <= 16 * KIB;
    frames.push(frame('DATA', last ? flags : 0, id, Buffer.alloc(Math.min(left, 16 * KIB))));
  }
  return Buffer.concat(frames);
}

/** The header fields of a request, unlike those of others. */
function fieldsOf(id: number, octets: number): Uint8Array {
  return encodeHeaders([...POST_LIST, 'x', `${id}`.padEnd(octets, 'x')]);
}

const windows = (peer: raw.RawPeer, id: number): number =>
  peer.frames
    .filter((f) => f.type === 'WINDOW_UPDATE' && f.id === id)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);

describe('what is held for the requests of a connection', () => {
  test('is let go when they end, whoever ends them', async () => {
    await using play = await Play.begin(10 << 20);
    const peer = await play.peer();
    for (const id of [1, 3, 5, 7]) peer.send(post(id), data(id, 10_000, id === 1 ? END_STREAM : 0));
    assert.ok(await peer.settled());
    assert.ok(play.ledger.held > 40_000 && play.ledger.held < 80_000, `${play.ledger.held}`);
    play.streams[0]?.sendReply(OK, Buffer.alloc(1), TRAILERS);
    play.streams[1]?.sendReply(OK, Buffer.alloc(1), TRAILERS);
    play.streams[2]?.reset(ErrorCode.CANCEL);
    peer.send(frame('RST_STREAM', 0, 7, raw.u32(ErrorCode.CANCEL)));
    assert.ok(await peer.settled());
    assert.equal(play.ledger.held, 0);
  });

  test('is no longer counted once the owner has passed it on', async () => {
    await using play = await Play.begin(10 << 20);
    const peer = await play.peer();
    peer.send(post(1), data(1, 30_000));
    assert.ok(await peer.settled());
    const before = play.ledger.held;
    play.streams[0]?.release(30_000);
    play.streams[0]?.hold(5000);
    assert.equal(play.ledger.held, before - 25_000);
    play.streams[0]?.hold(-5000);
    assert.ok(play.ledger.held < 10_000);
  });

  test('keeps the window shut while answers will set it free', async () => {
    await using play = await Play.begin(1 << 20, { connectionWindowSize: 256 * KIB });
    const peer = await play.peer();
    for (let id = 1; play.ledger.heldBack === 0; id += 2) {
      peer.send(post(id), data(id, 48 * KIB, END_STREAM));
      assert.ok(await peer.settled());
    }
    const before = windows(peer, 0);
    for (const id of [101, 103]) peer.send(post(id), data(id, 48 * KIB, END_STREAM));
    assert.ok(await peer.settled());
    assert.equal(windows(peer, 0), before);
    for (const stream of play.streams) stream.sendReply(OK, Buffer.alloc(1), TRAILERS);
    for (let id = 105; windows(peer, 0) === before; id += 2) {
      peer.send(post(id), data(id, 16 * KIB, END_STREAM));
      assert.ok(await peer.settled());
    }
    assert.equal(play.ledger.refused, 0);
  });

  test('makes the largest go that are not complete, and nobody else', async () => {
    await using play = await Play.begin(1 << 20);
    const [peer, other] = [await play.peer(), await play.peer()];
    other.send(post(1), data(1, 1000));
    assert.ok(await other.settled());
    const size = (id: number): number => (id === 9 ? 60 : 30) * KIB;
    for (let id = 1; id < 60; id += 2) peer.send(post(id), data(id, size(id)));
    assert.equal(await peer.reset(9), ErrorCode.ENHANCE_YOUR_CALM);
    assert.ok(await peer.settled());
    assert.ok(await other.settled());
    assert.ok(play.ledger.held <= play.ledger.limit);
    assert.equal(play.streams.length, 31, 'all were opened');
    assert.equal(play.streams[0]?.closed, false);
    const reset = peer.frames.filter(({ type }) => type === 'RST_STREAM');
    assert.equal(reset.length, play.ledger.refused);
    assert.ok(reset.length < 15, `${reset.length} had to go`);
  });

  test('lets established streams go on', async () => {
    await using play = await Play.begin(1 << 20);
    const peer = await play.peer();
    peer.send(post(1), data(1, 100));
    assert.ok(await peer.settled());
    play.streams[0]?.release(100);
    for (let id = 3; id < 60; id += 2) peer.send(post(id), data(id, 40 * KIB));
    for (let i = 0; i < 50; i++) {
      peer.send(data(1, 100));
      assert.ok(await peer.settled());
      play.streams[0]?.release(100);
    }
    assert.ok(play.ledger.refused > 0);
    assert.equal(play.streams[0]?.closed, false);
  });

  test('makes large requests take turns', async () => {
    await using play = await Play.begin(4 << 20);
    const peer = await play.peer();
    const ids = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
    // Each uses its first window up; from the eighth on that is more than should come at once.
    for (const id of ids) peer.send(post(id), data(id, WINDOW));
    assert.ok(await peer.settled());
    const granted = (): number[] => ids.filter((id) => windows(peer, id) >= WINDOW / 2);
    const first = granted();
    assert.ok(first.length >= 8 && first.length < 20, `${first.length} may go on`);
    // One that has its turn ends, and the next one gets it.
    const [next] = ids.filter((id) => !first.includes(id));
    for (const id of first) peer.send(data(id, 100, END_STREAM));
    await peer.nextOf('WINDOW_UPDATE', next as number);
    // Those that do nothing with their turn lose it.
    while (granted().length < 20) assert.ok(await peer.nextOf('WINDOW_UPDATE'));
  });

  test('whose turn it is gets its window once, also where memory is free again before anybody was told', async () => {
    await using play = await Play.begin(64 << 20);
    const peer = await play.peer();
    // From 2 MiB on they take turns: this one and the next seven have theirs, the last two wait for it.
    peer.send(post(1), data(1, 2 << 20));
    const others = Array.from({ length: 9 }, (_, i) => 2 * i + 3);
    for (const id of others) peer.send(post(id), data(id, WINDOW / 2));
    assert.ok(await peer.settled());
    // The large one ends and sets memory free, and the same segment brings more of one that waits.
    peer.send(frame('RST_STREAM', 0, 1, raw.u32(ErrorCode.CANCEL)), data(19, 16 * KIB));
    assert.ok(await peer.settled());
    // A WINDOW_UPDATE of 0 is an error (RFC 9113 section 6.9), which `RawPeer` looks for.
    for (const id of [17, 19]) assert.ok(windows(peer, id) >= WINDOW / 2, `${windows(peer, id)} for ${id}`);
  });

  test('requests of nothing but header fields are refused as well when all memory is taken', async () => {
    await using play = await Play.begin(1 << 20);
    const peer = await play.peer();
    for (let id = 1; id < 400; id += 2) {
      peer.send(frame('HEADERS', raw.END_HEADERS | END_STREAM, id, fieldsOf(id, 8 * KIB)));
    }
    assert.ok(await peer.settled());
    assert.ok(play.ledger.held <= play.ledger.limit, `${play.ledger.held} held`);
    assert.ok(play.ledger.refused > 50, `${play.ledger.refused} refused`);
    assert.equal(play.server.connections[0]?.closed, false);
  });

  test('so are those that wait because their client has reset too many', async () => {
    // Two too many: the others wait for 2 s, which is more than a busy machine takes to read them.
    await using play = await Play.begin(1 << 20, { maxResetsPerSecond: 1, maxResetsBurst: 1 });
    const peer = await play.peer();
    for (const id of [1, 3, 5]) peer.send(post(id), frame('RST_STREAM', 0, id, raw.u32(ErrorCode.CANCEL)));
    for (let id = 7; id < 400; id += 2) {
      peer.send(frame('HEADERS', raw.END_HEADERS | END_STREAM, id, fieldsOf(id, 8 * KIB)));
    }
    assert.ok(await peer.settled());
    assert.ok(play.streams.length < 100, 'most wait');
    assert.ok(play.ledger.held <= play.ledger.limit, `${play.ledger.held} held`);
    assert.ok(play.ledger.refused > 50, `${play.ledger.refused} refused`);
  });

  test('trailers that wait for a reader are counted', async () => {
    await using play = await Play.begin(10 << 20);
    const peer = await play.peer();
    peer.send(post(1));
    assert.ok(await peer.settled());
    const [stream] = play.streams as [Http2Stream];
    stream.pause();
    const before = play.ledger.held;
    peer.send(frame('HEADERS', raw.END_HEADERS | END_STREAM, 1, encodeHeaders(['x', 'y'.repeat(8 * KIB)])));
    assert.ok(await peer.settled());
    assert.ok(play.ledger.held - before > 8 * KIB, `${play.ledger.held - before} more`);
    stream.resume();
    assert.ok(await peer.settled());
    assert.equal((stream.listener as Exchange).trailers[0], 'x');
  });

  test('a small part does not keep alive what was read with it', async () => {
    await using play = await Play.begin(4 << 20);
    const peer = await play.peer();
    const noise = Array.from({ length: 4000 }, () => frame('WINDOW_UPDATE', 0, 1, raw.u32(1)));
    for (let i = 0; i < 5; i++) peer.send(i === 0 ? post(1) : Buffer.alloc(0), data(1, 10), ...noise);
    assert.ok(await peer.settled());
    const [stream] = play.streams as [Http2Stream];
    const { chunks } = stream.listener as Exchange;
    assert.equal(chunks.length, 5);
    assert.ok(new Set(chunks.map(({ buffer }) => buffer)).size <= 2, 'they share what they were copied to');
  });

  test('nor does a larger one that is still a small part; what is read in full frames is not copied', async () => {
    const memory = new MemorySocket();
    const exchange = new Exchange();
    const owner = new Owner((stream) => {
      stream.listener = exchange;
    });
    const connection = new Http2Connection(memory.socket, 'server', owner);
    memory.push(Buffer.concat([raw.MAGIC, raw.settings(), post(1)]));
    for (const [size, copied] of [
      [1100, true],
      [4096, true],
      [12_000, true],
      [16_384, false],
    ] as const) {
      const ignored = Array.from({ length: 3 }, () => frame(99, 0, 0, Buffer.alloc(16_000)));
      const read = Buffer.concat([frame('DATA', 0, 1, Buffer.alloc(size)), ...ignored]).subarray(0, 64 * KIB);
      const before = exchange.chunks.length;
      memory.push(read);
      await until('it has arrived', () => exchange.chunks.length > before);
      const chunk = exchange.chunks.at(-1) as Buffer;
      assert.deepEqual([chunk.length, chunk.buffer !== read.buffer], [size, copied]);
    }
    connection.destroy();
    memory.destroy();
  });
});
