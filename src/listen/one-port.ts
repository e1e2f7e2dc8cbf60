/**
 * One listener for every protocol. The first bytes of a connection decide who serves it; on a TLS port that is done
 * by ALPN (RFC 7301), and by the first bytes inside TLS for clients without it.
 */

import { createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Endpoint } from '../net/endpoint.ts';
import { TCP_KEEPALIVE_MS } from '../net/tcp-keepalive.ts';
import { noteClient } from '../rpc/client.ts';
import { FirstBytes, type WireProtocol } from './first-bytes.ts';
import { clientOn } from './peer.ts';
import { removeStaleSocket } from './unix-socket.ts';
import { refusePlaintext, refuseTls, type WrongTransport } from './wrong-transport.ts';

/** Who serves a connection. It is paused, and `head` holds the bytes that were read already. */
export interface Protocols {
  http2(socket: Socket, head: Buffer): void;
  http1(socket: Socket, head: Buffer): void;
}

/** Does the handshakes of a port. */
export interface TlsAcceptor {
  /** Takes a connection whose first bytes were put back. */
  accept(socket: Socket): void;
  /** Lets nobody in any more. */
  close(): void;
  /** Breaks off every connection. */
  destroy(): void;
}

/** Who serves the connections of a port, and who is told of those that are refused. */
export interface OnePortOptions {
  readonly protocols: Protocols;
  /** The namespace of its clients; empty: none. */
  readonly namespace: string;
  /** Milliseconds in which a new connection has to say what it speaks. */
  readonly firstByteTimeout: number;
  /** Where set, the port speaks TLS and nothing else; connections come back through the callback. */
  readonly tls: ((onSecured: (socket: TLSSocket) => void) => TlsAcceptor) | undefined;
  /** A connection was closed because it said nothing in that time. */
  readonly onSilent: () => void;
  /** A connection was refused because it spoke this where the port wants the other. */
  readonly onWrongTransport: (spoken: WrongTransport) => void;
}

const NOTHING = Buffer.alloc(0);

/** A listener on one address. */
export class OnePort {
  readonly #server: Server;
  readonly #options: OnePortOptions;
  readonly #firstBytes: FirstBytes;
  #tls: TlsAcceptor | undefined;
  #address = '';
  /** The same, where it is the only one that clients connect to. */
  #local: string | undefined;

  constructor(options: OnePortOptions) {
    this.#options = options;
    this.#firstBytes = new FirstBytes(options.firstByteTimeout, options.onSilent);
    const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS };
    this.#server = createServer(tcp, (socket) =>
      this.#firstBytes.wait(socket, (_, opening, head) => this.#opened(socket, opening, head)),
    );
  }

  /** Starts to listen. Rejects when the address cannot be used. */
  async listen(address: Endpoint): Promise<void> {
    const { target } = address;
    if ('path' in target) await removeStaleSocket(target.path);
    const options =
      'path' in target ? target : { port: target.port, ...(target.host === '' ? {} : { host: target.host }) };
    this.#tls = this.#options.tls?.((socket) => this.#secured(socket));
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(options, () => {
        this.#server.off('error', reject);
        this.#address = addressOf(this.#server);
        if (!listensToAll(this.#server)) this.#local = this.#address;
        resolve();
      });
    });
  }

  /** Where it listens, as `host:port` or the path of a socket; with the port chosen when port 0 was asked for. */
  get address(): string {
    return this.#address;
  }

  /** Accepts no more connections and drops those that are not with a protocol yet. */
  close(): void {
    this.#server.close();
    this.#firstBytes.close();
    this.#tls?.close();
  }

  /** Closes, and breaks off what is still under way. */
  destroy(): void {
    this.close();
    this.#tls?.destroy();
  }

  #opened(socket: Socket, opening: WireProtocol, head: Buffer): void {
    const { onWrongTransport } = this.#options;
    if (this.#tls === undefined) {
      if (opening !== 'tls') {
        this.#serve(socket, opening, head);
        return;
      }
      onWrongTransport('tls');
      refuseTls(socket);
    } else if (opening === 'tls') {
      socket.unshift(head);
      this.#tls.accept(socket);
    } else {
      onWrongTransport('plaintext');
      refusePlaintext(socket, opening, head);
    }
  }

  #secured(socket: TLSSocket): void {
    const protocol = socket.alpnProtocol;
    if (protocol === 'h2') this.#serve(socket, 'http2', NOTHING);
    else if (protocol === 'http/1.1') this.#serve(socket, 'http1', NOTHING);
    else this.#firstBytes.wait(socket, (_, opening, head) => this.#serve(socket, opening, head));
  }

  #serve(socket: Socket, opening: WireProtocol, head: Buffer): void {
    const { protocols, namespace } = this.#options;
    const { http1, http2 } = protocols;
    noteClient(socket, clientOn(socket, { listener: this.#address, namespace, local: this.#local }));
    if (opening === 'http2') http2(socket, head);
    else http1(socket, head);
  }
}

/** Every address of the machine; that of a Unix socket is none. */
const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Whether only a connection itself tells which address it came in at. */
function listensToAll(server: Server): boolean {
  const address = server.address();
  return address === null || typeof address === 'string' || ALL_ADDRESSES.has(address.address);
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') return address ?? '';
  return address.family === 'IPv6'
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`;
}
