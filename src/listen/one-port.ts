/**
 * One listener for every protocol. The first bytes of a connection decide who serves it: HTTP/2 starts with a
 * fixed preface (RFC 9113 section 3.4), everything else is HTTP/1.1.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Endpoint } from '../upstream/endpoint.ts';
import { removeStaleSocket } from './unix-socket.ts';

/** The part of the HTTP/2 preface that no HTTP/1.1 request can start with. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n');

/** Who serves a connection. `head` holds the bytes that were read already. */
export interface Protocols {
  http2(socket: Socket, head: Buffer): void;
  http1(socket: Socket, head: Buffer): void;
}

export interface OnePortOptions {
  readonly protocols: Protocols;
  /** Milliseconds in which a new connection has to say what it speaks. */
  readonly firstByteTimeout: number;
  /** A connection was closed because it said nothing in that time. */
  readonly onSilent: () => void;
}

/** A listener on one address. */
export class OnePort {
  readonly #server: Server;
  readonly #options: OnePortOptions;
  /** Connections that have not said yet what they speak. */
  readonly #undecided = new Set<Socket>();

  constructor(options: OnePortOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, (socket) =>
      this.#sniff(socket),
    );
  }

  /** Starts to listen. Rejects when the address cannot be used. */
  async listen(address: Endpoint): Promise<void> {
    const { target } = address;
    if ('path' in target) await removeStaleSocket(target.path);
    const options =
      'path' in target ? target : { port: target.port, ...(target.host === '' ? {} : { host: target.host }) };
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(options, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Where it listens, as `host:port` or the path of a socket; with the port chosen when port 0 was asked for. */
  address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') return address ?? '';
    return address.family === 'IPv6'
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`;
  }

  /** Accepts no more connections and drops those that said nothing yet. */
  close(): void {
    this.#server.close();
    for (const socket of this.#undecided) socket.destroy();
  }

  #sniff(socket: Socket): void {
    this.#undecided.add(socket);
    const timer = setTimeout(() => {
      this.#options.onSilent();
      socket.destroy();
    }, this.#options.firstByteTimeout);
    let head: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const compared = Math.min(head.length, PREFACE.length);
      const same = head.compare(PREFACE, 0, compared, 0, compared) === 0;
      if (same && compared < PREFACE.length) return;
      leave();
      socket.pause();
      this.#options.protocols[same ? 'http2' : 'http1'](socket, head);
      socket.resume();
    };
    const leave = (): void => {
      clearTimeout(timer);
      this.#undecided.delete(socket);
      socket.off('data', onData);
      socket.off('error', ignoreReset);
      socket.off('close', leave);
      socket.off('end', onEnd);
    };
    const onEnd = (): void => {
      socket.destroy();
    };
    socket.on('data', onData);
    socket.on('error', ignoreReset);
    socket.on('end', onEnd);
    socket.on('close', leave);
  }
}

/** A peer that resets an undecided connection has ended it; `close` follows and cleans up. */
function ignoreReset(): void {
  // `close` follows every error.
}
