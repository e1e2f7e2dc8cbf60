/**
 * All ports of the proxy: those for everything, of which each may have a namespace, and further ones that serve pages such as `/metrics` only.
 */
import type { TLSSocket } from 'node:tls';
import type { Endpoint } from '../net/endpoint.ts';
import type { Http2Connections } from './http2-connections.ts';
import { OnePort, type OnePortOptions, type Protocols, type TlsAcceptor } from './one-port.ts';
import type { WrongTransport } from './wrong-transport.ts';

/** Is told of connections that never get to a protocol. */
export interface ListenersObserver {
  /** A connection was closed because it said nothing in time. */
  onSilentConnection(): void;
  /** A connection was refused because it spoke this where the port wants the other. */
  onWrongTransport(spoken: WrongTransport): void;
}

/** Makes the TLS side of a port. */
export interface TlsSource {
  /** @param alpn protocols to offer, the preferred first */
  terminator(alpn: readonly string[], onSecured: (socket: TLSSocket) => void): TlsAcceptor;
}

/** Who serves what the ports accept. */
export interface ListenersOptions {
  /** Serves HTTP/2. */
  readonly http2: Http2Connections;
  /** Serves HTTP/1.1 connections. */
  readonly http1: Protocols['http1'];
  /** The same on the ports for pages. */
  readonly pages: Protocols['http1'];
  /** Undefined: every port speaks plaintext. */
  readonly tls: TlsSource | undefined;
  /** Milliseconds in which a new connection has to say what it speaks. */
  readonly firstByteTimeout: number;
  readonly observer: ListenersObserver;
}

/** What a port is there for. */
type Served = Pick<OnePortOptions, 'protocols' | 'namespace'>;

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #ports: OnePort[] = [];

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /**
   * Listens for everything. Returns where. Rejects when the address cannot be used.
   * @param namespace of the clients that come in there; empty: none
   * @param flag that names the address, for the error
   */
  listen(address: Endpoint, namespace = '', flag = '--listen-addr'): Promise<string> {
    const { http1, http2, tls } = this.#options;
    const protocols: Protocols = {
      http2: (socket, head) => {
        http2.accept(socket, head);
        socket.resume();
      },
      http1,
    };
    return this.#open(flag, address, { protocols, namespace }, tls && ['h2', 'http/1.1']);
  }

  /** Listens for requests of pages, over HTTP/1.1. Returns where. Rejects when the address cannot be used. */
  listenForPages(address: Endpoint): Promise<string> {
    const { pages } = this.#options;
    const protocols: Protocols = { http1: pages, http2: pages };
    const alpn = address.secure ? ['http/1.1'] : undefined;
    return this.#open('--metrics-addr', address, { protocols, namespace: '' }, alpn);
  }

  /** Accepts no more connections and drops those that are not with a protocol yet. */
  close(): void {
    for (const port of this.#ports) port.close();
  }

  /** Closes, and breaks off what is still under way. */
  destroy(): void {
    for (const port of this.#ports) port.destroy();
  }

  async #open(flag: string, address: Endpoint, served: Served, alpn: string[] | undefined): Promise<string> {
    const { tls, firstByteTimeout, observer } = this.#options;
    const port = new OnePort({
      ...served,
      firstByteTimeout,
      tls: tls && alpn && ((onSecured) => tls.terminator(alpn, onSecured)),
      onSilent: () => observer.onSilentConnection(),
      onWrongTransport: (spoken) => observer.onWrongTransport(spoken),
    });
    this.#ports.push(port);
    try {
      await port.listen(address);
    } catch (error) {
      throw new Error(`${flag}: ${address.name} ${reasonOf(error as NodeJS.ErrnoException)}`, {
        cause: error,
      });
    }
    return port.address;
  }
}

/** Why an address cannot be used, by the code of the system. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use',
  EADDRNOTAVAIL: 'is no address of this machine',
  EACCES: 'may not be used by this user',
};

function reasonOf({ code = '', message }: NodeJS.ErrnoException): string {
  const reason = REASONS[code];
  return reason === undefined ? `cannot be used: ${message}` : `${reason} (${code})`;
}
