/**
 * Handshakes that come to nothing, on the listener itself: slow ones, some cut at every byte, and garbage in place of
 * the first message. None leaves a socket, a timer or memory behind, and each is counted.
 */
import assert from 'node:assert/strict';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createConnection, createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { connect } from 'node:tls';
import { Http2Connections } from '../../src/listen/http2-connections.ts';
import { Listeners } from '../../src/listen/listeners.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import type { FailureReason, HandshakeFailure } from '../../src/tls/handshake-failure.ts';
import { ServerTls } from '../../src/tls/server-tls.ts';
import { collectGarbage } from '../support/garbage.ts';
import { handOver } from '../support/hand-over.ts';
import { until } from '../support/until.ts';
import { clientOptions, type Usual, usual, visit } from './support.ts';

/** Counts what happens. */
class Counts {
  done = 0;
  silent = 0;
  wrong = 0;
  readonly failed = new Map<FailureReason, number>();

  onHandshakeDone(): void {
    this.done++;
  }

  onHandshakeFailed({ reason }: HandshakeFailure): void {
    this.failed.set(reason, (this.failed.get(reason) ?? 0) + 1);
  }

  onSilentConnection(): void {
    this.silent++;
  }

  onWrongTransport(): void {
    this.wrong++;
  }

  onLoaded(): void {}
  onReloaded(): void {}
  onReloadFailed(): void {}

  get ended(): number {
    return this.silent + this.wrong + [...this.failed.values()].reduce((sum, count) => sum + count, 0);
  }
}

const flagged = (path: string) => ({ flag: '--flag', path });

/** A TLS listener whose only page is empty. */
class Door {
  readonly counts = new Counts();
  readonly #tls: ServerTls;
  readonly #listeners: Listeners;
  readonly #http: Server = createHttpServer((_request, response) => response.end());
  address = '';

  constructor(files: Usual, handshakeTimeout: number) {
    this.#tls = new ServerTls(
      {
        pair: { cert: flagged(files.server.cert), key: flagged(files.server.key) },
        ca: flagged(files.ca.cert),
        crl: undefined,
        cipherSuites: [],
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.3',
        handshakeTimeout,
      },
      this.counts,
    );
    const nobody = { accept: () => false };
    const http1 = handOver(this.#http);
    this.#listeners = new Listeners({
      http2: new Http2Connections({
        grpc: nobody,
        fallback: () => {},
        settings: {},
        observer: NO_OBSERVER,
      } as never),
      http1,
      pages: http1,
      tls: this.#tls,
      firstByteTimeout: 60_000,
      observer: this.counts,
    });
  }

  async start(): Promise<void> {
    await this.#tls.start();
    this.address = await this.#listeners.listen(parseEndpoint('127.0.0.1:0'));
  }

  stop(): void {
    this.#tls.close();
    this.#listeners.destroy();
    this.#http.closeAllConnections();
  }
}

const NO_OBSERVER = { onHttp2Opened() {}, onHttp2Closed() {}, onHttp2Limit() {}, onFault() {} };

/** What keeps the process busy: sockets, timers and the like, by kind; the test's own are the same before and after. */
async function resources(): Promise<Record<string, number>> {
  for (let i = 0; i < 5; i++) await turn();
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** The same, once what was before is gone. */
function settledResources(): Promise<Record<string, number>> {
  let last = '';
  return until('nothing changes', async () => {
    await sleep(20);
    const now = await resources();
    const before = last;
    last = JSON.stringify(now);
    return last === before && now;
  });
}

function dial(address: string): Socket {
  const [host, port] = address.split(':') as [string, string];
  const socket = createConnection({ host, port: Number(port) });
  socket.on('error', () => {}); // `close` follows
  socket.resume();
  return socket;
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

/** What a real client sends in a handshake, byte for byte. */
async function recordHandshake(door: Door, files: Usual, version: 'TLSv1.2' | 'TLSv1.3'): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const relay = createServer((client) => {
    const server = dial(door.address);
    server.pipe(client).on('error', () => server.destroy());
    client.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      server.write(chunk);
    });
    client.on('close', () => server.destroy());
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  const { port } = relay.address() as { port: number };
  const only = { minVersion: version, maxVersion: version };
  await new Promise<void>((resolve, reject) => {
    const options = { ...clientOptions(`127.0.0.1:${port}`, files.ca, files.client), ...only };
    const socket = connect(options, () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
  });
  await new Promise((resolve) => relay.close(resolve));
  return Buffer.concat(chunks);
}

describe('handshakes that come to nothing', () => {
  let files: Usual;
  let door: Door;
  before(async () => {
    files = await usual();
    door = new Door(files, 60_000);
    await door.start();
  });
  after(() => door.stop());

  async function leavesNothing(action: () => Promise<number>): Promise<void> {
    const before = await settledResources();
    const ended = door.counts.ended;
    const expected = await action();
    await until('each is counted', () => door.counts.ended >= ended + expected);
    await until('nothing is left', async () => JSON.stringify(await resources()) === JSON.stringify(before));
    const { status, error } = await visit(clientOptions(door.address, files.ca, files.client));
    assert.equal(status, 'HTTP/1.1 200 OK', error);
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version}, cut at every byte`, async () => {
      const bytes = await recordHandshake(door, files, version);
      assert.ok(bytes.length > 500);
      await leavesNothing(async () => {
        // In groups: every byte is a connection of its own.
        for (let at = 1; at < bytes.length; at += 50) {
          const group = Array.from({ length: Math.min(50, bytes.length - at) }, (_, i) => {
            const socket = dial(door.address);
            if (i % 2 === 0) socket.end(bytes.subarray(0, at + i));
            else socket.write(bytes.subarray(0, at + i), () => socket.resetAndDestroy());
            return closed(socket);
          });
          await Promise.all(group);
        }
        return 0;
      });
    });
  }

  test('garbage in place of the first message', async () => {
    await leavesNothing(async () => {
      const garbage = Array.from({ length: 200 }, (_, i) => {
        const length = 1 + ((i * 37) % 400);
        const head = i % 2 === 0 ? [0x16] : [0x16, 3, 1, length >> 8, length & 0xff];
        return Buffer.concat([Buffer.from(head), Buffer.alloc(length, (i * 73) & 0xff)]);
      });
      await Promise.all(
        garbage.map((bytes) => {
          const socket = dial(door.address);
          socket.end(bytes);
          return closed(socket);
        }),
      );
      return garbage.length;
    });
  });

  test('and memory stays where it was', async () => {
    const bytes = await recordHandshake(door, files, 'TLSv1.3');
    const inUse = (): number => {
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const round = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        const sockets = Array.from({ length: 100 }, () => {
          const socket = dial(door.address);
          socket.end(bytes.subarray(0, 300));
          return closed(socket);
        });
        await Promise.all(sockets);
      }
      await resources();
      return inUse();
    };
    await round();
    const first = await round();
    await round();
    // A handshake that stayed would cost tens of kilobytes, 300 of them more than this.
    await until(
      () => `it grew by ${inUse() - first} bytes`,
      () => inUse() - first < 8 * 2 ** 20,
    );
  });

  test('a slow one ends at the time-out, however busily it is slow', async () => {
    const bytes = await recordHandshake(door, files, 'TLSv1.3');
    const hasty = new Door(files, 300);
    await hasty.start();
    const before = await settledResources();
    const sockets = [dial(hasty.address), dial(hasty.address)] as const;
    sockets[0].write(bytes.subarray(0, 200));
    let at = 0;
    const trickle = setInterval(() => sockets[1].write(bytes.subarray(at, ++at)), 20);
    await Promise.all(sockets.map(closed));
    clearInterval(trickle);
    assert.equal(hasty.counts.failed.get('timeout'), 2);
    await until('nothing is left', async () => JSON.stringify(await resources()) === JSON.stringify(before));
    hasty.stop();
  });
});
