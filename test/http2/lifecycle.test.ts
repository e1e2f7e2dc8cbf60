/** The life of a connection: its sudden end, PINGs and keepalive, octets read before it began. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import {
  ErrorCode,
  encodeHeaders,
  Http2Connection,
  type Http2Settings,
  type Http2Stream,
  PREFACE,
} from '../../src/http2/index.ts';
import { EngineServer, Exchange, Owner } from './support/exchange.ts';
import { MemorySocket } from './support/memory-socket.ts';
import { OK } from './support/play.ts';
import * as raw from './support/raw-peer.ts';
import { scene } from './support/scripted-server.ts';

const { ACK, END_HEADERS, END_STREAM, frame, settings } = raw;
const GET = encodeHeaders([':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a']);
const NONE = encodeHeaders([]);

function keep(stream: Http2Stream): void {
  stream.listener = new Exchange();
}

describe('destroy', () => {
  test('sends GOAWAY and closes every stream once', async () => {
    await using play = await scene();
    const exchanges = [new Exchange(), new Exchange()];
    for (const exchange of exchanges) play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 3);
    play.connection.destroy(ErrorCode.INTERNAL_ERROR, 'why');
    assert.deepEqual(
      exchanges.map((e) => [e.code, e.local, e.events]),
      [
        [2, true, ['close']],
        [2, true, ['close']],
      ],
    );
    const last = await play.peer.nextOf('GOAWAY');
    assert.equal(last?.payload.subarray(8).toString(), 'why');
    assert.equal(play.owner.closes, 1);
  });

  test('from inside a listener', async () => {
    class Destroys extends Exchange {
      override onHeaders(stream: Http2Stream): void {
        stream.connection.destroy();
      }
    }
    await using play = await scene();
    const exchange = new Destroys();
    play.connection.request(GET, exchange, true);
    await play.peer.nextOf('HEADERS', 1);
    const head = frame('HEADERS', END_HEADERS, 1, OK);
    play.peer.send(head, frame('DATA', 0, 1, [1]), frame('DATA', END_STREAM, 1, [1]));
    await play.owner.closed;
    assert.deepEqual([exchange.events, exchange.code], [['close'], ErrorCode.CANCEL]);
  });
});

describe('PING', () => {
  test('is answered with the same octets', async () => {
    await using server = new EngineServer(keep);
    const peer = raw.rawClient(await server.listen());
    peer.send(frame('PING', 0, 0, Buffer.from('12345678')));
    assert.equal((await peer.nextOf('PING'))?.payload.toString(), '12345678');
    peer.close();
  });

  test('of ours reports the round trip, or the end of the connection', async () => {
    await using play = await scene();
    const first = new Promise<unknown>((resolve) => play.connection.ping(resolve));
    const ping = await play.peer.nextOf('PING');
    play.peer.send(frame('PING', ACK, 0, Buffer.alloc(8)), frame('PING', ACK, 0, ping?.payload));
    assert.equal(await first, undefined);
    const second = new Promise<unknown>((resolve) => play.connection.ping(resolve));
    await play.peer.nextOf('PING');
    play.peer.close();
    assert.ok((await second) instanceof Error);
  });

  test('keepalive: silence is asked about, and a dead peer is given up', async () => {
    await using play = await scene({
      keepaliveIntervalMs: 20,
      keepaliveTimeoutMs: 1200,
      permitWithoutStream: true,
    });
    const first = await play.peer.nextOf('PING');
    assert.ok(first);
    play.peer.send(frame('PING', ACK, 0, first.payload));
    assert.ok(await play.peer.nextOf('PING'));
    await play.owner.closed;
    assert.ok(play.owner.limits.includes('keepaliveTimeoutMs'));
  });

  test('keepalive of a client is silent without streams unless permitted', async () => {
    await using play = await scene({ keepaliveIntervalMs: 5, keepaliveTimeoutMs: 1000 });
    await play.owner.ready;
    await new Promise((resolve) => setTimeout(resolve, 40)); // nothing may happen
    assert.equal(
      play.peer.frames.some((f) => f.type === 'PING'),
      false,
    );
    play.connection.request(GET, new Exchange(), true);
    assert.ok(await play.peer.nextOf('PING'));
  });

  test('too many PINGs of a client', async () => {
    await using server = new EngineServer(keep, { minPingIntervalMs: 10_000 });
    const peer = raw.rawClient(await server.listen());
    for (let i = 0; i < 6; i++) peer.send(frame('PING', 0, 0, Buffer.alloc(8)));
    const end = await peer.nextOf('GOAWAY');
    assert.equal(end?.payload.readUInt32BE(4), ErrorCode.ENHANCE_YOUR_CALM);
    assert.equal(end?.payload.subarray(8).toString(), 'too_many_pings', 'what gRPC clients look for');
  });

  test('PINGs with answers between them are no strikes', async () => {
    const onStream = (stream: Http2Stream) => {
      keep(stream);
      stream.sendReply(OK, NONE, NONE);
    };
    await using server = new EngineServer(onStream, { minPingIntervalMs: 10_000 });
    const peer = raw.rawClient(await server.listen());
    for (let id = 1; id < 40; id += 2) {
      peer.send(frame('HEADERS', END_HEADERS | END_STREAM, id, GET), frame('PING', 0, 0, Buffer.alloc(8)));
      assert.ok(await peer.nextOf('PING'));
    }
    // Without answers they are.
    for (let i = 0; i < 6; i++) peer.send(frame('PING', 0, 0, Buffer.alloc(8)));
    assert.equal(await peer.goaway(), ErrorCode.ENHANCE_YOUR_CALM);
    peer.close();
  });
});

describe('listeners that throw', () => {
  test('the failure is reported, and the connection goes on', async () => {
    class Careless extends Exchange {
      override onClose(stream: Http2Stream, code: number, local: boolean): void {
        super.onClose(stream, code, local);
        throw new Error(`closed ${stream.id}`);
      }
    }
    class CarelessOwner extends Owner {
      override onReady(): void {
        throw new Error('ready');
      }
    }
    const owner = new CarelessOwner((stream) => {
      stream.listener = new Careless();
      stream.sendReply(OK, NONE, NONE);
    });
    const memory = new MemorySocket(true);
    const connection = new Http2Connection(memory.socket, 'server', owner);
    memory.push(Buffer.concat([raw.MAGIC, settings()]));
    for (const id of [1, 3]) memory.push(frame('HEADERS', END_HEADERS | END_STREAM, id, GET));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      owner.failures.map((failure) => (failure as Error).message),
      ['ready', 'closed 1', 'closed 3'],
    );
    assert.equal(connection.closed, false);
    connection.destroy();
    assert.equal(owner.closes, 1);
    memory.destroy();
  });
});

test('SETTINGS say what differs from the defaults of the RFC, and nothing else', async () => {
  const announced = async (given: Partial<Http2Settings>): Promise<number[][]> => {
    await using server = new EngineServer(keep, given);
    const peer = raw.rawClient(await server.listen());
    const { payload } = (await peer.nextOf('SETTINGS')) as raw.Frame;
    peer.close();
    return Array.from({ length: payload.length / 6 }, (_, i) => [
      payload.readUInt16BE(6 * i),
      payload.readUInt32BE(6 * i + 2),
    ]);
  };
  const plain = {
    initialWindowSize: 65_535,
    connectionWindowSize: 65_535,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    maxHeaderListSize: 1000,
  };
  assert.deepEqual(await announced(plain), [[6, 1000]]);
  assert.deepEqual(
    await announced({
      maxHeaderListSize: 1000,
      maxConcurrentStreams: 5,
      initialWindowSize: 7,
      maxFrameSize: 20_000,
      headerTableSize: 9,
    }),
    [
      [6, 1000],
      [3, 5],
      [4, 7],
      [5, 20_000],
      [1, 9],
    ],
  );
});

test('a connection that is destroyed before it began does not begin', async () => {
  const given = { prefaceTimeoutMs: 5 };
  const [gone, late] = [new Owner(), new Owner()];
  const sockets = [new MemorySocket(), new MemorySocket()] as const;
  const first = new Http2Connection(sockets[0].socket, 'server', gone, given, PREFACE);
  first.destroy();
  sockets[0].push(settings());
  // Another one, whose time passes, shows that the first one's would have.
  new Http2Connection(sockets[1].socket, 'server', late, given);
  const alive = setInterval(() => {}, 1000);
  await late.closed;
  clearInterval(alive);
  assert.deepEqual(late.limits, ['prefaceTimeoutMs']);
  assert.deepEqual([gone.limits, gone.closes, gone.failures], [[], 1, []]);
});

test('octets read before the engine got the socket are not lost', async () => {
  const server = net.createServer((socket) => {
    socket.once('data', (head: Buffer) => {
      socket.pause();
      setImmediate(() => {
        new Http2Connection(
          socket,
          'server',
          new Owner((stream) => {
            keep(stream);
            stream.sendReply(OK, Buffer.from('x'), NONE);
          }),
          {},
          head,
        );
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const request = Buffer.concat([PREFACE, settings(), frame('HEADERS', END_HEADERS | END_STREAM, 1, GET)]);
  for (const cut of [1, 24, 30, request.length - 1]) {
    const peer = raw.rawClient((server.address() as net.AddressInfo).port, request.subarray(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 5));
    peer.send(request.subarray(cut));
    assert.ok(await peer.nextOf('DATA', 1), `cut at ${cut}`);
    peer.close();
  }
  server.close();
});
