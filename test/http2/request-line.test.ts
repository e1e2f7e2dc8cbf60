/** Requests of a client whose socket takes nothing: their header fields wait, in order, and count as not processed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { encodeHeaders, Http2Connection } from '../../src/http2/index.ts';
import type { Stream } from '../../src/http2/stream.ts';
import { Exchange, Owner } from './support/exchange.ts';
import * as raw from './support/raw-peer.ts';

/** Long enough that few of them fill the socket. */
const BLOCK = encodeHeaders([
  ...[':method', 'POST', ':scheme', 'http', ':path', '/x', ':authority', 'a'],
  ...['x-large', '\u00ff'.repeat(15_000)],
]);
const COUNT = 2000;

/** An engine client and a server that does not read until it is told to. */
class Play implements AsyncDisposable {
  readonly owner = new Owner();
  readonly connection: Http2Connection;
  readonly peer: raw.RawPeer;
  readonly #server: net.Server;

  private constructor(server: net.Server, socket: net.Socket, accepted: net.Socket) {
    this.#server = server;
    this.connection = new Http2Connection(socket, 'client', this.owner);
    this.peer = new raw.RawPeer(accepted, raw.MAGIC.length);
  }

  static async begin(): Promise<Play> {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    const [accepted] = (await once(server, 'connection')) as [net.Socket];
    const play = new Play(server, socket, accepted);
    play.peer.send(raw.settings());
    await play.owner.ready;
    await play.peer.nextOf('SETTINGS');
    accepted.pause();
    return play;
  }

  /** Opens so many streams, in one turn or in several. */
  async open(count: number): Promise<{ streams: Stream[]; exchanges: Exchange[] }> {
    const exchanges = Array.from({ length: count }, () => new Exchange());
    const streams: Stream[] = [];
    for (const [i, exchange] of exchanges.entries()) {
      const stream = this.connection.request(BLOCK, exchange, false);
      stream.sendData(Buffer.from([i & 0xff]), true);
      streams.push(stream);
      if (i % 10 === 0) await new Promise(setImmediate);
    }
    return { streams, exchanges };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.destroy();
    this.peer.socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

describe('requests that wait for the socket', () => {
  test('all arrive, each with its content, once the server reads', async () => {
    await using play = await Play.begin();
    const { streams, exchanges } = await play.open(COUNT);
    assert.equal(play.connection.closed, false);
    play.peer.socket.resume();
    const last = streams.at(-1)?.id as number;
    const end = await play.peer.next((f) => f.type === 'DATA' && f.id === last);
    assert.equal(end?.flags, raw.END_STREAM);
    const opened = play.peer.frames.filter(({ type }) => type === 'HEADERS').map(({ id }) => id);
    assert.deepEqual(
      opened,
      streams.map(({ id }) => id),
    );
    const data = play.peer.frames.filter(({ type, payload }) => type === 'DATA' && payload.length > 0);
    assert.deepEqual(
      data.map(({ id, payload }) => [id, payload[0]]).sort(([a], [b]) => (a as number) - (b as number)),
      streams.map(({ id }, i) => [id, i & 0xff]),
    );
    assert.ok(exchanges.every(({ events }) => events.length === 0));
  });

  test('those given up meanwhile are never heard of, the others arrive', async () => {
    await using play = await Play.begin();
    const { streams, exchanges } = await play.open(COUNT);
    const waiting = streams.filter(({ unsent }) => unsent !== undefined);
    assert.ok(waiting.length > COUNT / 2, `${waiting.length} wait`);
    const givenUp = new Set(waiting.filter((_, i) => i % 2 === 0));
    for (const stream of givenUp) stream.reset(8);
    play.peer.socket.resume();
    const kept = streams.filter((stream) => !givenUp.has(stream));
    const last = kept.at(-1)?.id as number;
    await play.peer.next((f) => f.type === 'DATA' && f.id === last);
    const heard = new Set(play.peer.frames.filter(({ id }) => id > 0).map(({ id }) => id));
    assert.deepEqual(
      [...heard].sort((a, b) => a - b),
      kept.map(({ id }) => id),
    );
    assert.equal(exchanges.filter(({ events }) => events.includes('close')).length, givenUp.size);
  });

  for (const how of ['GOAWAY', 'the end of the socket'] as const) {
    test(`${how} leaves them as not processed`, async () => {
      await using play = await Play.begin();
      const { streams } = await play.open(COUNT);
      const waiting = streams.filter(({ unsent }) => unsent !== undefined);
      assert.ok(waiting.length > 0);
      if (how === 'GOAWAY')
        play.peer.send(raw.frame('GOAWAY', 0, 0, [...raw.u32(0x7fffffff), ...raw.u32(0)]));
      else play.peer.socket.destroy();
      await (waiting[0] as Stream & { listener: Exchange }).listener.done;
      assert.ok(waiting.every(({ closed, unprocessed }) => closed && unprocessed));
      const sent = streams.filter((stream) => !waiting.includes(stream));
      assert.ok(sent.some(({ unprocessed }) => !unprocessed));
    });
  }
});
