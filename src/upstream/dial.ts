/**
 * Opens HTTP/2 connections to one endpoint. An attempt ends in exactly one of two ways, and always ends: a
 * connection whose peer has sent its SETTINGS, or an error.
 */

import { connect, type Socket } from 'node:net';
import {
  type ConnectionListener,
  debugText,
  ErrorCode,
  errorName,
  Http2Connection,
  type Http2Error,
  type Http2Settings,
  type LimitName,
} from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { TCP_KEEPALIVE_MS } from '../net/tcp-keepalive.ts';
import { describeTlsError } from '../tls/handshake-failure.ts';
import { lookupOf } from './addresses.ts';
import { Patience } from './patience.ts';
import { PingCompany } from './ping-company.ts';
import type { PingIntervals } from './ping-intervals.ts';

/** Hears what becomes of a connection. First one of `onConnected` and `onFailed`; after `onConnected`, the others. */
export interface ConnectionOwner {
  onConnected(connection: Http2Connection): void;
  onFailed(cause: string): void;
  /** The connection takes no new calls: it is closed, or etcd is about to close it. May be called twice. */
  onLost(connection: Http2Connection, cause: string): void;
  /** The connection takes no new calls, since it has had as many as one can; those under way go on. */
  onSpent(connection: Http2Connection): void;
  /** The connection takes new calls again after it was at its stream limit. */
  onStreamSlots(connection: Http2Connection): void;
  /** A bound of the HTTP/2 settings was reached by etcd. */
  onLimit(limit: string): void;
  /** A fault of the program surfaced on the connection. */
  onFault(error: unknown): void;
  /** Whether to ping although no call is open on this connection. */
  pingsIdle(): boolean;
}

/** Opens TLS connections. */
export interface TlsDialer {
  /**
   * Begins to connect; the socket fails unless the peer proves to be `serverName` and does not refuse the protocol,
   * HTTP/2 where none is named.
   */
  connect(target: Endpoint['target'], serverName: string, protocol?: 'h2' | 'http/1.1'): Socket;
}

/** How to dial. */
export interface DialOptions {
  /** Milliseconds for one attempt: the socket, TLS, and etcd's SETTINGS. */
  readonly dialTimeout: number;
  readonly http2: Omit<Partial<Http2Settings>, 'keepaliveIntervalMs' | 'prefaceTimeoutMs'>;
  readonly pings: PingIntervals;
  /** For endpoints that are {@link Endpoint.secure}. */
  readonly tls: TlsDialer;
}

/** One attempt to connect, and then the watch over the connection it made. */
export class Dial implements ConnectionListener {
  #owner: ConnectionOwner;
  readonly #endpoint: Endpoint;
  readonly #connection: Http2Connection;
  readonly #pings: PingIntervals;
  readonly #interval: number;
  readonly #company: PingCompany;
  readonly #pingsIdle: boolean;
  readonly #patience: Patience;
  #settled = false;
  #cause = '';

  /** Starts the attempt. */
  constructor(endpoint: Endpoint, options: DialOptions, owner: ConnectionOwner) {
    const { dialTimeout, http2, pings } = options;
    this.#owner = owner;
    this.#endpoint = endpoint;
    this.#pings = pings;
    this.#interval = pings.of(endpoint);
    this.#company = new PingCompany(endpoint);
    this.#pingsIdle = http2.permitWithoutStream ?? false;
    const socket = open(endpoint, options);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      this.#cause = endpoint.secure ? describeTlsError(error) : (error.code ?? error.message);
    });
    const settings = {
      ...http2,
      keepaliveIntervalMs: this.#interval,
      permitWithoutStream: true,
      // The attempt has a time of its own.
      prefaceTimeoutMs: 0,
    };
    this.#connection = new Http2Connection(socket, 'client', this, settings);
    this.#patience = new Patience(dialTimeout, () => this.#giveUp(dialTimeout));
  }

  /** Somebody else hears what becomes of the connection from now on. */
  handOver(owner: ConnectionOwner): void {
    this.#owner = owner;
  }

  /** Ends the attempt or the connection without a word to the owner. */
  close(): void {
    this.#patience.end();
    this.#settled = true;
    this.#connection.destroy();
  }

  onStream(): void {
    // A client refuses pushed streams, so none arrives.
  }

  onReady(connection: Http2Connection): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#patience.end();
    this.#owner.onConnected(connection);
  }

  onGoaway(connection: Http2Connection, _last: number, code: number, debug: Buffer): void {
    const reason = `etcd is closing the connection: ${errorName(code)}${debugText(debug)}`;
    const tooMany =
      this.#interval > 0 && code === ErrorCode.ENHANCE_YOUR_CALM && debug.equals(TOO_MANY_PINGS);
    this.#owner.onLost(connection, tooMany ? `${reason}; ${this.#pingLess()}` : reason);
  }

  onKeepalive(connection: Http2Connection, quiet: boolean): boolean {
    if (connection.openStreams === 0 && !this.#pingsIdle && !this.#owner.pingsIdle()) return false;
    return this.#company.join(connection, quiet);
  }

  onSpent(connection: Http2Connection): void {
    this.#owner.onSpent(connection);
  }

  onStreamSlots(connection: Http2Connection): void {
    this.#owner.onStreamSlots(connection);
  }

  onClose(connection: Http2Connection, error: Http2Error | undefined): void {
    this.#patience.end();
    const cause = this.#cause || error?.message || 'connection closed';
    if (this.#settled) {
      this.#owner.onLost(connection, cause);
      return;
    }
    this.#settled = true;
    this.#owner.onFailed(`${this.#endpoint.name}: ${cause}`);
  }

  onLimit(_connection: Http2Connection, limit: LimitName): void {
    this.#owner.onLimit(limit);
  }

  onFailure(_connection: Http2Connection, failure: unknown): void {
    this.#owner.onFault(failure);
  }

  #pingLess(): string {
    const ms = this.#pings.tooMany(this.#endpoint, this.#interval);
    return `pings every ${ms / 1000} s from now on`;
  }

  #giveUp(timeout: number): void {
    this.#cause = `no answer within ${timeout} ms`;
    this.#connection.destroy();
  }
}

/** What gRPC servers say when they want fewer pings. */
const TOO_MANY_PINGS = Buffer.from('too_many_pings');

function open(endpoint: Endpoint, { tls }: DialOptions): Socket {
  const { secure, serverName } = endpoint;
  const target = { ...endpoint.target, lookup: lookupOf(endpoint) };
  if (secure) return tls.connect(target, serverName);
  return connect({ ...target, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS });
}
