/**
 * Turns accepted connections into TLS connections, or ends them: a handshake that fails, takes too long, or whose
 * client may not come in.
 *
 * node:tls lets unverified clients in and leaves the decision to its user (`rejectUnauthorized: false`), so that
 * the reason is known; the decision is made in one place, `TlsTerminator.#admit`.
 */

import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type HandshakeFailure, handshakeFailureOf } from './handshake-failure.ts';
import type { ServerState } from './server-state.ts';

/** Is told how handshakes end. */
export interface HandshakeObserver {
  onHandshakeDone(): void;
  onHandshakeFailed(failure: HandshakeFailure, client: string): void;
}

/** What one listener asks of clients, and who takes their connections. */
export interface TerminatorOptions {
  /** Protocols offered by ALPN, the preferred first. */
  readonly alpn: readonly string[];
  /** Milliseconds for a whole handshake. */
  readonly handshakeTimeout: number;
  /** Whether clients must show a certificate. */
  readonly clientCertificates: boolean;
  readonly state: ServerState;
  readonly observer: HandshakeObserver;
  /** Takes the connections whose handshake went well. */
  readonly onSecured: (socket: TLSSocket) => void;
}

/** The TLS side of one listener. */
export class TlsTerminator {
  readonly #options: TerminatorOptions;
  readonly #server: Server;
  /** Connections under the TLS ones, from accept to close. */
  readonly #raw = new Set<Socket>();
  #state: ServerState;
  #closed = false;

  constructor(options: TerminatorOptions) {
    this.#options = options;
    this.#state = options.state;
    // It never listens: connections are handed to it with its `connection` event.
    this.#server = createServer({
      ...options.state.context,
      ALPNProtocols: [...options.alpn],
      requestCert: options.clientCertificates,
      rejectUnauthorized: false,
      handshakeTimeout: options.handshakeTimeout,
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      this.#fail(socket, handshakeFailureOf(error));
      // Not done by node:tls after a time-out.
      socket.destroy();
    });
  }

  /** Uses this for the handshakes that begin from now on. */
  use(state: ServerState): void {
    this.#state = state;
    this.#server.setSecureContext(state.context);
  }

  /** Takes a connection; what was read from it already must be put back with `unshift`. */
  accept(socket: Socket): void {
    this.#raw.add(socket);
    socket.once('close', () => this.#raw.delete(socket));
    this.#server.emit('connection', socket);
  }

  /** Lets nobody in any more. */
  close(): void {
    this.#closed = true;
  }

  /** Breaks off every connection, whatever its state. */
  destroy(): void {
    this.close();
    for (const socket of this.#raw) socket.destroy();
  }

  #secured(socket: TLSSocket): void {
    if (this.#closed) {
      socket.destroy();
      return;
    }
    const failure = this.#admit(socket);
    if (failure === undefined) {
      this.#options.observer.onHandshakeDone();
      this.#options.onSecured(socket);
      return;
    }
    this.#fail(socket, failure);
    // No listener is left to handle what the client still does.
    socket.on('error', () => socket.destroy());
    socket.destroySoon();
  }

  /** Why a client may not come in, if so. Sessions that are resumed are checked like new ones. */
  #admit(socket: TLSSocket): HandshakeFailure | undefined {
    if (!this.#options.clientCertificates) return undefined;
    const certificate = socket.getPeerX509Certificate();
    // Asked first: node:tls takes a resumed session without a certificate for verified.
    if (certificate === undefined) {
      return { reason: 'no_certificate', detail: 'the client showed no certificate' };
    }
    if (!socket.authorized) return handshakeFailureOf(socket.authorizationError);
    return this.#revoked(certificate) ?? expired(certificate);
  }

  #revoked(leaf: X509Certificate): HandshakeFailure | undefined {
    const { revoked } = this.#state;
    if (revoked === undefined) return undefined;
    const seen = new Set<string>();
    for (
      let certificate: X509Certificate | undefined = leaf;
      certificate !== undefined && !seen.has(certificate.fingerprint256);
      certificate = certificate.issuerCertificate
    ) {
      seen.add(certificate.fingerprint256);
      if (revoked.has(certificate.serialNumber)) {
        const detail = `certificate ${certificate.serialNumber} is revoked`;
        return { reason: 'certificate_revoked', detail };
      }
    }
    return undefined;
  }

  #fail(socket: TLSSocket, failure: HandshakeFailure): void {
    this.#options.observer.onHandshakeFailed(failure, socket.remoteAddress ?? '');
  }
}

/** A resumed session was verified when it began, which may be some time ago. */
function expired(certificate: X509Certificate): HandshakeFailure | undefined {
  if (Date.parse(certificate.validTo) > Date.now()) return undefined;
  return { reason: 'certificate_expired', detail: 'certificate has expired' };
}
