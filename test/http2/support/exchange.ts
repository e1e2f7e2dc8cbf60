/** Listeners for tests: they write down what happens, and let a test wait for the end of it. */
import { once } from 'node:events';
import net from 'node:net';
import type {
  ConnectionListener,
  HeaderList,
  Http2Error,
  Http2Settings,
  Http2Stream,
  RequestAccounts,
  StreamListener,
} from '../../../src/http2/index.ts';
import { Http2Connection } from '../../../src/http2/index.ts';

/** Collects everything of one stream. */
export class Exchange implements StreamListener {
  headers: HeaderList = [];
  trailers: HeaderList = [];
  chunks: Buffer[] = [];
  bytes = 0;
  events: string[] = [];
  code = -1;
  local = false;
  readonly done: Promise<void>;
  private finish: () => void = () => {};

  constructor() {
    this.done = new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  onHeaders(_stream: Http2Stream, headers: HeaderList): void {
    this.headers = headers;
    this.events.push('headers');
  }

  onData(_stream: Http2Stream, chunk: Buffer): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    if (this.events.at(-1) !== 'data') this.events.push('data');
  }

  onTrailers(_stream: Http2Stream, headers: HeaderList): void {
    this.trailers = headers;
    this.events.push('trailers');
  }

  onEnd(_stream: Http2Stream): void {
    this.events.push('end');
  }

  onDrain(_stream: Http2Stream): void {
    this.events.push('drain');
  }

  onClose(_stream: Http2Stream, code: number, local: boolean): void {
    this.events.push('close');
    this.code = code;
    this.local = local;
    this.finish();
  }
}

/** Collects what happens to one connection. */
export class Owner implements ConnectionListener {
  streams: Http2Stream[] = [];
  limits: string[] = [];
  failures: unknown[] = [];
  goaways: { last: number; code: number; debug: string }[] = [];
  slots = 0;
  error: Http2Error | undefined;
  closes = 0;
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;
  /** Called with each new stream. */
  onStreamHook: (stream: Http2Stream) => void;
  private isReady: () => void = () => {};
  private isClosed: () => void = () => {};

  constructor(onStream: (stream: Http2Stream) => void = () => {}) {
    this.onStreamHook = onStream;
    this.ready = new Promise((resolve) => {
      this.isReady = resolve;
    });
    this.closed = new Promise((resolve) => {
      this.isClosed = resolve;
    });
  }

  onStream(stream: Http2Stream): void {
    this.streams.push(stream);
    this.onStreamHook(stream);
  }

  onReady(): void {
    this.isReady();
  }

  onGoaway(_connection: Http2Connection, last: number, code: number, debug: Buffer): void {
    this.goaways.push({ last, code, debug: debug.toString() });
  }

  onStreamSlots(): void {
    this.slots++;
  }

  onClose(_connection: Http2Connection, error: Http2Error | undefined): void {
    this.closes++;
    this.error = error;
    this.isClosed();
  }

  onLimit(_connection: Http2Connection, limit: string): void {
    this.limits.push(limit);
  }

  onFailure(_connection: Http2Connection, failure: unknown): void {
    this.failures.push(failure);
  }
}

/** The value of a header field, or undefined. */
export function field(list: HeaderList, name: string): string | undefined {
  for (let i = 0; i < list.length; i += 2) if (list[i] === name) return list[i + 1];
  return undefined;
}

/** A listening server of the engine; closes with `await using`. */
export class EngineServer implements AsyncDisposable {
  readonly server: net.Server;
  readonly owners: Owner[] = [];
  readonly connections: Http2Connection[] = [];

  constructor(
    onStream: (stream: Http2Stream) => void,
    settings: Partial<Http2Settings> = {},
    accounts?: RequestAccounts,
  ) {
    this.server = net.createServer((socket) => {
      const owner = new Owner(onStream);
      this.owners.push(owner);
      this.connections.push(new Http2Connection(socket, 'server', owner, settings, undefined, accounts));
    });
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as net.AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    const closed = once(this.server, 'close');
    this.server.close();
    await closed;
  }
}

/** A client connection of the engine. */
export function connect(
  port: number,
  settings: Partial<Http2Settings> = {},
): { owner: Owner; connection: Http2Connection } {
  const owner = new Owner();
  const connection = new Http2Connection(net.connect(port, '127.0.0.1'), 'client', owner, settings);
  return { owner, connection };
}
