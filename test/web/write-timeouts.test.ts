/**
 * HTTP/1.1 clients that do not read: who takes nothing of what waits for them is closed, be it an answer, a stream or a WebSocket. Who
 * reads slowly stays, and who has nothing to read. The looks at connections are made by hand, so that no time plays a part.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { create, toBinary } from '@bufbuild/protobuf';
import { RangeResponseSchema } from '#gen/etcdserverpb/kv_pb.js';
import { WatchResponseSchema } from '#gen/etcdserverpb/watch_pb.js';
import type { ServerStream } from '../../src/rpc/contract.ts';
import { NO_STREAM_LISTENER } from '../../src/rpc/no-stream-listener.ts';
import { until } from '../support/until.ts';
import { Authority } from '../tls/pki.ts';
import { Door } from './support.ts';

const MIB = 1 << 20;
const TIMEOUT_MS = 100_000;
/** Looks in that time. */
const LOOKS = 4;
/** More than the system keeps for the two ends of a connection. */
const VALUE_BYTES = 48 * MIB;

const key = Buffer.from('a');
const reply = toBinary(
  RangeResponseSchema,
  create(RangeResponseSchema, {
    header: { revision: 1n },
    kvs: [{ key, value: Buffer.alloc(VALUE_BYTES, 'v'), modRevision: 1n }],
    count: 1n,
  }),
);
const created = toBinary(
  WatchResponseSchema,
  create(WatchResponseSchema, { header: { revision: 1n }, created: true }),
);
const event = toBinary(
  WatchResponseSchema,
  create(WatchResponseSchema, {
    header: { revision: 2n },
    events: [{ kv: { key, value: Buffer.alloc(MIB, 'v'), modRevision: 2n } }],
  }),
);

/** A watch with as many events as the client takes, or none. */
function watch(quiet: boolean) {
  return (stream: ServerStream): void => {
    const tell = (): void => {
      while (!quiet && stream.send(event));
    };
    stream.listener = {
      ...NO_STREAM_LISTENER,
      onMessage: () => {
        stream.send(created);
        tell();
      },
      onDrain: tell,
    };
  };
}

const GET = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${fields}\r\n`;
const POST = (path: string, type: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

const WEB_SOCKET =
  'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
/** `{}` in a masked frame of text (RFC 6455 section 5.2). */
const FRAME = '\x81\x82\0\0\0\0{}';

/** What a client asks, by the protocol in which it does. */
const ASKED: Readonly<Record<string, string>> = {
  'a value': GET('/kv/a'),
  'a key as JSON': GET('/kv/a?prefix'),
  "etcd's JSON": POST('/v3/kv/range', 'application/json', '{"key":"YQ=="}'),
  Connect: POST('/etcdserverpb.KV/Range', 'application/proto', ''),
  "a stream of etcd's JSON": POST('/v3/watch', 'application/json', '{}'),
  events: GET('/watch/a'),
  'a WebSocket': GET('/v3/watch', WEB_SOCKET),
};

class Scene implements AsyncDisposable {
  readonly door: Door;
  readonly limits: readonly string[];
  /** The proxy's ends of connections. */
  readonly #ends: Socket[] = [];
  readonly #clients: Socket[] = [];
  readonly #t: TestContext;
  #tls: Server | undefined;

  private constructor(t: TestContext, door: Door, limits: readonly string[]) {
    this.#t = t;
    this.door = door;
    this.limits = limits;
    door.web.http.on('connection', (socket: Socket) => this.#ends.push(socket));
  }

  static async open(t: TestContext, { writeTimeout = TIMEOUT_MS, quiet = false } = {}): Promise<Scene> {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const limits: string[] = [];
    const door = await Door.open(
      {
        unary: { '/etcdserverpb.KV/Range': () => reply },
        stream: { '/etcdserverpb.Watch/Watch': watch(quiet) },
      },
      { limits: { writeTimeout }, onLimit: (limit) => limits.push(limit) },
    );
    return new Scene(t, door, limits);
  }

  /** A client that reads nothing, over TLS with files for it, and the proxy's end of its connection. */
  async ask(request: string, authority?: Authority): Promise<[client: Socket, end: Socket]> {
    const client =
      authority === undefined ? connect(this.door.port, '127.0.0.1') : await this.#secure(authority);
    this.#clients.push(client);
    client.on('error', () => {});
    client.pause();
    client.write(request);
    const place = this.#clients.length - 1;
    const end = await until('the connection', () => this.#ends[place]);
    if (request.includes(WEB_SOCKET)) {
      await until('the WebSocket', () => end.bytesWritten > 0);
      client.write(FRAME, 'latin1');
    }
    return [client, end];
  }

  look(times: number): void {
    for (let i = 0; i < times; i++) this.#t.mock.timers.tick(TIMEOUT_MS / LOOKS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    this.#tls?.close();
    await this.door[Symbol.asyncDispose]();
    this.#t.mock.timers.reset();
  }

  async #secure(authority: Authority): Promise<Socket> {
    const { cert, key } = await authority.issue('server', { hosts: ['localhost'] });
    const files = { cert: readFileSync(cert), key: readFileSync(key) };
    this.#tls = createTlsServer(files, (socket) => this.door.web.http.emit('connection', socket));
    this.#tls.listen(0, '127.0.0.1');
    await once(this.#tls, 'listening');
    const { port } = this.#tls.address() as AddressInfo;
    const client = connectTls({
      port,
      host: '127.0.0.1',
      ca: readFileSync(authority.cert),
      servername: 'localhost',
    });
    await once(client, 'secureConnect');
    return client;
  }
}

/** Until the system takes no more, which is so when what waits is the same for a while. Whether something waits: false when all of a value is written. */
async function stuck(end: Socket): Promise<boolean> {
  let [before, since] = [-1, performance.now()];
  await until('the client is full', () => {
    const { bytesWritten, writableLength } = end;
    const waits = writableLength > 0 || bytesWritten > VALUE_BYTES;
    if (bytesWritten !== before || !waits) [before, since] = [bytesWritten, performance.now()];
    return performance.now() - since > 300;
  });
  return end.writableLength > 0;
}

for (const secure of [false, true])
  for (const [what, request] of Object.entries(ASKED)) {
    if (secure && what !== 'a value' && what !== 'a WebSocket') continue;
    test(`${what}${secure ? ' over TLS' : ''}: who takes nothing of it is closed`, async (t) => {
      await using scene = await Scene.open(t);
      const [client, end] = await scene.ask(request, secure ? await Authority.create() : undefined);
      assert.ok(await stuck(end));
      scene.look(LOOKS - 1);
      assert.equal(end.destroyed, false);
      assert.deepEqual(scene.limits, []);
      scene.look(2);
      assert.equal(end.destroyed, true);
      assert.deepEqual(scene.limits, ['writeTimeout']);
      client.resume();
      await until('the end', () => client.closed);
      await until('the call is over', () =>
        scene.door.observer.events.some((event) => event.startsWith('handled')),
      );
      assert.deepEqual(scene.door.observer.faults, []);
    });
  }

for (const secure of [false, true])
  test(`a client that reads a little now and then gets all of a large answer${secure ? ', over TLS' : ''}`, async (t) => {
    await using scene = await Scene.open(t);
    const [client, end] = await scene.ask(
      ASKED['a value'] ?? '',
      secure ? await Authority.create() : undefined,
    );
    let read = 0;
    let steps = 0;
    let wanted = 0;
    client.on('data', (part: Buffer) => {
      read += part.length;
      if (read >= wanted) client.pause();
    });
    for (; await stuck(end); steps++) {
      const { bytesWritten } = end;
      wanted = read + 6 * MIB;
      client.resume();
      await until('the proxy writes more', () => end.bytesWritten > bytesWritten || end.writableLength === 0);
      scene.look(LOOKS - 1);
      assert.deepEqual(scene.limits, []);
    }
    assert.ok(steps > 2, `${steps} steps`);
    wanted = Number.POSITIVE_INFINITY;
    client.resume();
    await until('all of it', () => read > VALUE_BYTES);
  });

test('who has nothing to read stays: between requests, and while a stream is quiet', async (t) => {
  await using scene = await Scene.open(t, { quiet: true });
  const clients = await Promise.all(
    [GET('/proxy/metrics'), GET('/watch/a'), POST('/v3/watch', 'application/json', '{}')].map((request) =>
      scene.ask(request),
    ),
  );
  await until('the answers', () =>
    clients.every(([, end]) => end.bytesWritten > 0 && end.writableLength === 0),
  );
  scene.look(10 * LOOKS);
  assert.deepEqual(
    clients.map(([, end]) => end.destroyed),
    [false, false, false],
  );
  assert.deepEqual(scene.limits, []);
});

test('without the bound nobody is closed', async (t) => {
  await using scene = await Scene.open(t, { writeTimeout: 0 });
  const [, end] = await scene.ask(ASKED['a value'] ?? '');
  await stuck(end);
  scene.look(10 * LOOKS);
  assert.equal(end.destroyed, false);
});
