/**
 * The HTTP/1.1 server under Fastify. It never listens: whoever accepts connections hands them over with its
 * `connection` event.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Code, RpcError } from '../rpc/status.ts';
import { unaryError } from './http-error.ts';
import type { WebLimits } from './options.ts';
import { Pipelined } from './pipelined.ts';
import type { RequestMemory } from './request-memory.ts';
import { SlowBodies } from './slow-bodies.ts';

/** How often, in milliseconds, connections are looked at for requests that take too long to arrive. */
const CHECK_INTERVAL_MS = 1000;

/** Takes connections that become something else. */
export interface Upgrades {
  /** Whether this request asks for it; every other offer is passed over, as servers may (RFC 9110 section 7.8). */
  wants(request: IncomingMessage): boolean;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/**
 * What Node.js has from 24.9 on: until then a server takes every offer of an upgrade or none, and most are curl's, of HTTP/2.
 */
interface ChoosingServerOptions extends ServerOptions {
  readonly shouldUpgradeCallback: (request: IncomingMessage) => boolean;
}

/** Whether this Node.js does. */
const CHOOSES_UPGRADES: boolean = atLeast(process.versions.node, 24, 9);

function atLeast(version: string, major: number, minor: number): boolean {
  const [ofMajor = 0, ofMinor = 0] = version.split('.').map(Number);
  return ofMajor > major || (ofMajor === major && ofMinor >= minor);
}

/** Makes the server. @param onAnswered is called when a request was answered, or will not be */
export function createHttp1Server(
  handler: RequestListener,
  limits: WebLimits,
  memory: RequestMemory,
  upgrades: Upgrades | undefined,
  onAnswered: () => void,
): Server {
  const pipelined = new Pipelined(handler, limits.requestTimeout);
  const choosing: Partial<ChoosingServerOptions> =
    upgrades === undefined
      ? {}
      : { shouldUpgradeCallback: (request) => upgrades.wants(request) && !pipelined.isBusy(request.socket) };
  const server = createServer(
    {
      headersTimeout: Math.min(limits.headersTimeout, limits.requestTimeout),
      // Whole requests are looked after by SlowBodies.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveTimeout,
      maxHeaderSize: limits.maxHeaderBytes,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      ...choosing,
    },
    (request, response) => {
      const held = memory.begin(request);
      slowBodies.begin(request);
      response.once('close', () => {
        held?.end();
        slowBodies.onAnswered(request);
        onAnswered();
      });
      pipelined.take(request, response);
    },
  );
  const slowBodies = new SlowBodies(server, limits.requestTimeout);
  if (upgrades !== undefined && CHOOSES_UPGRADES)
    server.on('upgrade', (request, socket, head) => upgrades.upgrade(request, socket, head));
  server.on('connection', (socket: Socket) => memory.onConnected(socket));
  // Node.js starts to watch over the time-outs when a server begins to listen, which this one never does.
  server.emit('listening');
  return server;
}

/** The statuses of what is wrong with a request that Node.js could not read; everything else is a 400. */
const STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** What a request begins with (RFC 9112 section 3), whatever its method. */
const REQUEST_LINE = /^[^ \r\n]+ [^ \r\n]+ HTTP\/\d\.\d\r\n/;

/** A method, be it one that Node.js does not know (RFC 9110 section 9.1). */
const METHOD = /^[!#$%&'*+.^_`|~\w-]+ /;

/** What nothing here takes: etcd's answer to methods that its gateway has none for. */
const NOT_ALLOWED = unaryError(new RpcError(Code.UNIMPLEMENTED, 'Method Not Allowed'));

/**
 * Answers what is no request. Bytes that do not even begin like HTTP/1.1 get no answer: their sender speaks another
 * protocol, and would take one for its own.
 */
export function refuseUnreadable(
  error: NodeJS.ErrnoException & { rawPacket?: unknown },
  socket: Socket,
): void {
  const code = error.code ?? '';
  const begin = code === 'HPE_INVALID_METHOD' ? textOf(error.rawPacket) : undefined;
  const foreign = begin !== undefined && !REQUEST_LINE.test(begin);
  if (!socket.writable || code === 'ECONNRESET' || foreign) {
    socket.destroy();
    return;
  }
  const unknown = begin !== undefined && METHOD.test(begin);
  const status = unknown ? '501 Not Implemented' : (STATUS[code] ?? '400 Bad Request');
  const body = unknown ? NOT_ALLOWED : '';
  const type = unknown ? 'content-type: application/json\r\n' : '';
  endWith(
    socket,
    `HTTP/1.1 ${status}\r\nconnection: close\r\n${type}content-length: ${body.length}\r\n\r\n${body}`,
  );
}

/**
 * How long a connection is kept whose last answer was written, for its client to take that and to close its side. Milliseconds.
 */
const LINGER_MS = 2000;

/** Writes the last answer of a connection, and closes it, whether or not its client does. */
export function endWith(socket: Duplex, answer: string): void {
  socket.end(answer);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

function textOf(bytes: unknown): string {
  return Buffer.isBuffer(bytes) ? bytes.toString('latin1') : '';
}

/** The connections of a server, so that they can be waited for and ended. */
export class Connections {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #allClosed: (() => void) | undefined;

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#open.add(socket);
      socket.once('close', () => {
        this.#open.delete(socket);
        if (this.#open.size === 0) this.#allClosed?.();
      });
    });
  }

  /** Ends those that wait for a request. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  /** Waits, at most `ms` milliseconds, until all are closed. */
  closed(ms: number): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#allClosed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends all of them at once, and the watch over time-outs. */
  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }
}
