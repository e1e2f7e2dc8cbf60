/**
 * Serves the HTTP/2 connections: gRPC requests go to the gRPC door, all others to the web door.
 */
import type { Socket } from 'node:net';
import type { GrpcServer } from '../grpc/server.ts';
import {
  type ConnectionListener,
  type HeaderList,
  Http2Connection,
  type Http2Settings,
  type Http2Stream,
  type LimitName,
  type RequestAccounts,
} from '../http2/index.ts';
import { type Client, clientOf, noteClient } from '../rpc/client.ts';
import { Code, RpcError } from '../rpc/status.ts';

const SHUTTING_DOWN = new RpcError(Code.UNAVAILABLE, 'etcd-connect-proxy is shutting down');

/** Is told of connections and what becomes of them. */
export interface Http2ConnectionsObserver {
  onHttp2Opened(client: Client): void;
  onHttp2Closed(client: Client): void;
  /** A bound of {@link Http2Settings} was reached by this client. */
  onHttp2Limit(limit: string, client: Client): void;
  /** A fault of the program surfaced on a connection of this client; its stream was reset. */
  onFault(error: unknown, client: Client): void;
}

/** Who serves the streams, and the settings of connections. */
export interface Http2ConnectionsOptions {
  readonly grpc: GrpcServer;
  /** Serves the streams that are not gRPC. */
  readonly fallback: (stream: Http2Stream) => void;
  readonly settings: Partial<Http2Settings>;
  /** Where it is counted what is held for requests. */
  readonly accounts: RequestAccounts;
  readonly observer: Http2ConnectionsObserver;
}

/** Octets of a frame of a peer that keeps to the size that every peer may rely on. */
const FRAME = 16_384;

/** The settings for so much metadata in a request. */
export function metadataLimits(bytes: number): Partial<Http2Settings> {
  // A field block may be twice as long as its list before it is refused unread.
  return { maxHeaderListSize: bytes, maxContinuationFrames: Math.max(64, Math.ceil((2 * bytes) / FRAME)) };
}

/** The HTTP/2 connections of clients, from accept to close. */
export class Http2Connections implements ConnectionListener {
  readonly #options: Http2ConnectionsOptions;
  readonly #connections = new Set<Http2Connection>();
  #drained: (() => void) | undefined;

  constructor(options: Http2ConnectionsOptions) {
    this.#options = options;
  }

  /** Takes a connection; `head` holds the bytes read from it so far. */
  accept(socket: Socket, head: Buffer): void {
    const client = clientOf(socket);
    this.#options.observer.onHttp2Opened(client);
    const { settings, accounts } = this.#options;
    const connection = new Http2Connection(socket, 'server', this, settings, head, accounts);
    noteClient(connection, client);
    this.#connections.add(connection);
  }

  onStream(stream: Http2Stream): void {
    if (!this.#options.grpc.accept(stream)) this.#options.fallback(stream);
  }

  takesOddPath(headers: HeaderList): boolean {
    return this.#options.grpc.takes(headers);
  }

  onReady(): void {
    // Requests may come before the client's SETTINGS are known to be complete; nothing waits for them.
  }

  onGoaway(): void {
    // A client that goes away ends its own streams; the connection closes after them.
  }

  onStreamSlots(): void {
    // Only clients open streams.
  }

  onClose(connection: Http2Connection): void {
    this.#connections.delete(connection);
    this.#options.observer.onHttp2Closed(clientOf(connection));
    if (this.#connections.size === 0) this.#drained?.();
  }

  onLimit(connection: Http2Connection, limit: LimitName): void {
    this.#options.observer.onHttp2Limit(limit, clientOf(connection));
  }

  onFailure(connection: Http2Connection, failure: unknown): void {
    this.#options.observer.onFault(failure, clientOf(connection));
  }

  /**
   * Tells every client to go elsewhere, ends the streams that would never end by themselves, and waits until the
   * other calls are over; after `ms` milliseconds it ends the streams that are left.
   */
  async drain(ms: number): Promise<void> {
    if (this.#connections.size === 0) return;
    const { grpc } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        grpc.endStreams('all', SHUTTING_DOWN);
        resolve();
      }, ms);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const connection of this.#connections) connection.drain();
      grpc.endStreams('endless', SHUTTING_DOWN);
    });
  }

  /** Closes every connection at once. */
  close(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}
