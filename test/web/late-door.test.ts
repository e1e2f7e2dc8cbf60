/** The web door before it is there: who comes first waits for it, and whoever does not need it does not pay for it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Http2Connection } from '../../src/http2/index.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { LateWebDoor } from '../../src/web/late-door.ts';
import { methodAt } from '../support/methods.ts';
import { runProcess } from '../support/process.ts';
import { until } from '../support/until.ts';
import { Recorder } from './support.ts';

const ignore = (): void => {};

/** A late door behind two sockets, one for each version of HTTP. */
class Late implements AsyncDisposable {
  readonly observer = new Recorder();
  readonly door: LateWebDoor;
  /** Connections and streams that were handed to the door. */
  handed = 0;
  /** Called with each of them. */
  onHanded = ignore;
  readonly #connections = new Set<Http2Connection>();
  readonly #servers: readonly Server[];

  constructor() {
    const page = async () => ({ contentType: 'text/plain', body: 'up 1\n' });
    this.door = new LateWebDoor({
      services: { method: methodAt, unary: () => undefined, stream: () => assert.fail('no streams here') },
      maxRequestBytes: 64 * 1024,
      ledger: new Ledger(256 << 20),
      corsAllowedOrigins: [],
      isOwnHost: () => false,
      version: { body: async () => '{"etcdserver":"3.7.0"}' },
      health: {
        check: async () => ({ health: true, reason: '' }),
        checkProxy: async () => ({ health: true, reason: '' }),
      },
      metrics: { all: page, own: page },
      observer: this.observer,
    });
    this.#servers = [this.#http1(), this.#http2()];
  }

  static async open(): Promise<Late> {
    const late = new Late();
    for (const server of late.#servers) await once(server.listen(0, '127.0.0.1'), 'listening');
    return late;
  }

  port(version: 1 | 2): number {
    const server = this.#servers[version - 1] as Server;
    return (server.address() as AddressInfo).port;
  }

  /** Sends a request over HTTP/1.1 and reads until the connection is closed. */
  async ask(request: string): Promise<string> {
    const socket = connect(this.port(1), '127.0.0.1').on('error', ignore);
    socket.write(request);
    return text(socket).catch(() => '');
  }

  /** The status of a request over HTTP/2, or the error that ended it. */
  async askHttp2(headers: Record<string, string>, body: string): Promise<string> {
    const session = connectHttp2(`http://127.0.0.1:${this.port(2)}`).on('error', ignore);
    const stream = session.request({ ':path': '/', ...headers }, { endStream: body === '' });
    if (body !== '') stream.end(body);
    try {
      const [answer] = await once(stream, 'response');
      return String(answer[':status']);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'failed';
    } finally {
      session.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.door.close();
    for (const connection of this.#connections) connection.destroy();
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve));
  }

  #hand(): void {
    this.handed++;
    this.onHanded();
  }

  #http1(): Server {
    return createServer({ noDelay: true }, (socket) => {
      socket.once('data', (head) => {
        socket.pause();
        this.door.connection(socket, head as Buffer);
        this.#hand();
      });
    });
  }

  #http2(): Server {
    return createServer({ noDelay: true }, (socket) => {
      const connection = new Http2Connection(
        socket,
        'server',
        {
          onStream: (stream) => {
            this.door.stream(stream);
            this.#hand();
          },
          onReady: ignore,
          onGoaway: ignore,
          onStreamSlots: ignore,
          onClose: () => this.#connections.delete(connection),
          onFailure: (_, failure) => this.observer.onFault(failure),
        },
        {},
      );
      this.#connections.add(connection);
    });
  }
}

const GET = 'GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
const UNKNOWN = '/etcdserverpb.KV/Range';

describe('before the web door is there', () => {
  test('all who come wait, over both versions of HTTP, with and without a body', async () => {
    await using late = await Late.open();
    const post = `POST ${UNKNOWN} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n`;
    const slow = connect(late.port(1), '127.0.0.1');
    slow.write(post);
    const [first, second, page, call, odd] = await Promise.all([
      late.ask(GET),
      late.ask(GET),
      late.askHttp2({ ':path': '/health' }, ''),
      late.askHttp2({ ':method': 'POST', ':path': UNKNOWN, 'content-type': 'application/json' }, '{}'),
      late.askHttp2({ ':path': '/a b' }, ''),
    ]);
    assert.match(first, /^HTTP\/1\.1 200 .*\{"health":"true"/s);
    assert.match(second, /^HTTP\/1\.1 200 /);
    // It has no handler here: unimplemented.
    assert.deepEqual([page, call, odd], ['200', '501', '400']);
    slow.write('{}');
    assert.match(await text(slow), /^HTTP\/1\.1 501 .*unknown method Range/s);
    assert.deepEqual(late.observer.faults, []);
  });

  test('it is read in many turns, in which others are served', async () => {
    await using late = await Late.open();
    let turns = 0;
    let open = true;
    const count = (): void => {
      turns++;
      if (open) setImmediate(count);
    };
    count();
    await late.door.open();
    open = false;
    assert.ok(turns > 12, `${turns} turns`);
    assert.match(await late.ask(GET), /^HTTP\/1\.1 200 /);
  });

  test('a client that does not wait is forgotten', async () => {
    await using late = await Late.open();
    const socket = connect(late.port(1), '127.0.0.1');
    socket.write(GET);
    const session = connectHttp2(`http://127.0.0.1:${late.port(2)}`).on('error', ignore);
    session.request({ ':path': '/health' }).on('error', ignore);
    await until('both at the door', () => late.handed === 2);
    socket.resetAndDestroy();
    session.destroy();
    assert.match(await late.ask(GET), /^HTTP\/1\.1 200 /);
    assert.deepEqual(late.observer.faults, []);
  });

  test('a drain lets in who waits, and ends when they have their answers', async () => {
    await using late = await Late.open();
    const answer = late.ask('GET /health HTTP/1.1\r\nhost: a\r\n\r\n');
    await until('the request at the door', () => late.handed === 1);
    await late.door.drain(10_000);
    assert.match(await answer, /^HTTP\/1\.1 200 /);
  });

  test('a drain ends at once when nobody ever came', async () => {
    await using late = await Late.open();
    await late.door.drain(60_000);
  });

  test('closed, it breaks off who waits and who comes', async () => {
    await using late = await Late.open();
    const socket = connect(late.port(1), '127.0.0.1').on('error', ignore);
    await once(socket, 'connect');
    // It opens in a few turns from the first one on: the second one is there in the next turn.
    late.onHanded = () => {
      if (late.handed === 1) socket.write(GET);
      else late.door.close();
    };
    const first = late.askHttp2({ ':path': '/health' }, '');
    const ends = await Promise.all([first, text(socket).catch(() => '')]);
    assert.deepEqual(ends, ['ERR_HTTP2_STREAM_ERROR', '']);
    late.onHanded = ignore;
    assert.equal(await late.ask(GET), '');
  });
});

test('to serve gRPC, nothing of the web door is read, nor any descriptor, nor what makes certificates', async () => {
  const program = JSON.stringify(pathToFileURL('src/program.ts').href);
  const code = `
    import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { console.log(url); return next(url, context); } });
    await import(${program});`;
  const { stdout, stderr } = await runProcess(process.execPath, ['--input-type=module', '-e', code], {
    limitMs: 120_000,
  });
  const read = stdout.split('\n');
  assert.ok(
    read.some((url) => url.endsWith('/src/app/app.ts')),
    stderr,
  );
  const heavy =
    /fastify|connectrpc|pkijs|asn1js|\/gen\/|protobuf\/dist\/esm\/(registry|codegenv2)|src\/web\/(?!late|parts)/;
  assert.deepEqual(
    read.filter((url) => heavy.test(url)),
    [],
  );
});
