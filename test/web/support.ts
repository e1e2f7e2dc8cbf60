/** A web door on a free port, in front of services that a test makes up. */

import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { Http2Connection, type Http2Settings } from '../../src/http2/index.ts';
import type { StreamHandler, UnaryHandler } from '../../src/rpc/contract.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import type { CallObserver, ObservedCall } from '../../src/rpc/observer.ts';
import { bridge } from '../../src/web/http2-bridge.ts';
import { createWebServer, type WebServer, type WebServerOptions } from '../../src/web/server.ts';
import { methodAt } from '../support/methods.ts';

/** Notes what the door reports. */
export class Recorder implements CallObserver {
  readonly events: string[] = [];
  readonly faults: unknown[] = [];
  onStarted({ method }: ObservedCall): void {
    this.events.push(`started ${method.name}`);
  }
  onReceived({ method }: ObservedCall): void {
    this.events.push(`received ${method.name}`);
  }
  onSent({ method }: ObservedCall): void {
    this.events.push(`sent ${method.name}`);
  }
  onHandled({ method }: ObservedCall, code: number): void {
    this.events.push(`handled ${method.name} ${code}`);
  }
  onMalformedReply({ method }: ObservedCall): void {
    this.events.push(`malformed ${method.name}`);
  }
  onFault(error: unknown): void {
    this.faults.push(error);
  }
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The handlers a test made up, by path. */
export interface FakeServices {
  readonly unary?: Record<string, UnaryHandler>;
  readonly stream?: Record<string, StreamHandler>;
}

/** The door, listening for HTTP/1.1 and, on a port of its own, for HTTP/2. */
export class Door implements AsyncDisposable {
  readonly web: WebServer;
  readonly observer = new Recorder();
  readonly #http1: Server;
  readonly #http2: Server;
  readonly #connections = new Set<Http2Connection>();

  constructor(fakes: FakeServices, options: Partial<WebServerOptions> & { http2?: Partial<Http2Settings> }) {
    this.web = createWebServer({
      services: {
        method: methodAt,
        unary: (path) => fakes.unary?.[path],
        stream: (path) => {
          const handler = fakes.stream?.[path];
          if (!handler) throw new Error(`no stream handler for ${path}`);
          return handler;
        },
      },
      maxRequestBytes: 64 * 1024,
      ledger: new Ledger(256 << 20),
      corsAllowedOrigins: [],
      isOwnHost: () => false,
      version: { body: async () => '{"etcdserver":"3.7.0"}' },
      health: {
        check: async () => ({ health: true, reason: '' }),
        checkProxy: async () => ({ health: false, reason: 'WATCH TIMEOUT' }),
      },
      metrics: {
        all: async () => ({ contentType: METRICS_TYPE, body: Buffer.from('etcd 1\nup 1\n') }),
        own: async () => ({ contentType: METRICS_TYPE, body: 'up 1\n' }),
      },
      observer: this.observer,
      ...options,
    });
    // As the listener does it: the first bytes were read and are put back.
    this.#http1 = createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => {});
      socket.once('data', (head) => {
        socket.pause();
        socket.unshift(head);
        this.web.http.emit('connection', socket);
        socket.resume();
      });
    });
    const onStream = bridge(this.web);
    const ignore = (): void => {};
    this.#http2 = createServer({ noDelay: true }, (socket) => {
      const connection = new Http2Connection(
        socket,
        'server',
        {
          onStream,
          onReady: ignore,
          onGoaway: ignore,
          onStreamSlots: ignore,
          onClose: () => this.#connections.delete(connection),
          onFailure: (_, failure) => this.observer.onFault(failure),
        },
        options.http2 ?? {},
      );
      this.#connections.add(connection);
    });
  }

  static async open(
    fakes: FakeServices = {},
    options: Partial<WebServerOptions> & { http2?: Partial<Http2Settings> } = {},
    prepare: (door: Door) => void = () => {},
  ): Promise<Door> {
    const door = new Door(fakes, options);
    prepare(door);
    await door.web.app.ready();
    for (const server of [door.#http1, door.#http2]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return door;
  }

  get port(): number {
    return (this.#http1.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get http2Url(): string {
    return `http://127.0.0.1:${(this.#http2.address() as AddressInfo).port}`;
  }

  /** The protocols of the door, each as a client speaks it over HTTP/1.1 and HTTP/2. */
  transports(): [name: string, transport: Transport][] {
    const h1 = { baseUrl: this.url, httpVersion: '1.1' } as const;
    const h2 = { baseUrl: this.http2Url, httpVersion: '2' } as const;
    return [h1, h2].flatMap((base): [string, Transport][] => [
      [`Connect JSON, HTTP/${base.httpVersion}`, createConnectTransport({ ...base, useBinaryFormat: false })],
      [`Connect proto, HTTP/${base.httpVersion}`, createConnectTransport({ ...base, useBinaryFormat: true })],
      [`gRPC-Web, HTTP/${base.httpVersion}`, createGrpcWebTransport({ ...base, useBinaryFormat: true })],
      [
        `gRPC-Web JSON, HTTP/${base.httpVersion}`,
        createGrpcWebTransport({ ...base, useBinaryFormat: false }),
      ],
    ]);
  }

  /** Posts a JSON body as Connect sends it. */
  postJson(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.web.close();
    for (const connection of this.#connections) connection.destroy();
    for (const server of [this.#http1, this.#http2]) {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }
}
