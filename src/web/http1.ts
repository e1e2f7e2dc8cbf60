/**
 * The HTTP/1.1 server under Fastify. It never listens: whoever accepts connections hands them over with its
 * `connection` event.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { WebLimits } from './options.ts';

/** How often, in milliseconds, connections are looked at for requests that take too long to arrive. */
const CHECK_INTERVAL_MS = 1000;

/** Makes the server. */
export function createHttp1Server(handler: RequestListener, limits: WebLimits): Server {
  const server = createServer(
    {
      headersTimeout: Math.min(limits.headersTimeout, limits.requestTimeout),
      requestTimeout: limits.requestTimeout,
      keepAliveTimeout: limits.keepAliveTimeout,
      maxHeaderSize: limits.maxHeaderBytes,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    handler,
  );
  // Node.js starts to watch over the time-outs when a server begins to listen, which this one never does.
  server.emit('listening');
  return server;
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
