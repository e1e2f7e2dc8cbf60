/**
 * TLS to etcd: opens connections with the newest certificate, key and authorities, and resumes sessions.
 */

import { isIP } from 'node:net';
import {
  checkServerIdentity,
  connect,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { TCP_KEEPALIVE_MS } from '../net/tcp-keepalive.ts';
import { commonNames } from './common-names.ts';
import { contextOf, readAuthorities, readKeyPair, TlsFileError } from './files.ts';
import { type Loaded, pathsOf, Reloading, type ReloadObserver } from './reloading.ts';
import type { ClientTlsSettings, TlsSide } from './settings.ts';

/** Where to connect to. */
export type TlsTarget = { readonly path: string } | { readonly host: string; readonly port: number };

interface ClientState extends Loaded {
  readonly context: SecureContext;
}

interface Session {
  readonly ticket: Buffer;
  /** It is good for connections of this state only: another one may trust others. */
  readonly context: SecureContext;
  /** Milliseconds since the epoch; a resumed session is not verified again, so it ends with the certificate. */
  readonly expires: number;
}

export class ClientTls extends Reloading<ClientState> {
  readonly #settings: ClientTlsSettings;
  /** By protocol, server name and target; two for each endpoint. */
  readonly #sessions = new Map<string, Session>();

  /** @param side how the observer is told of it */
  constructor(settings: ClientTlsSettings, observer: ReloadObserver, side: TlsSide = 'client') {
    const { pair, ca } = settings;
    const source = {
      paths: async () => pathsOf(pair?.cert, pair?.key, ca),
      load: async () => loadState(settings, side === 'client'),
    };
    super(side, source, observer);
    this.#settings = settings;
  }

  /**
   * Begins to connect. The socket fails unless the certificate is for `serverName` and the protocol is agreed on; a
   * server of HTTP/1.1 may leave that open, as etcd does.
   */
  connect(target: TlsTarget, serverName: string, protocol: 'h2' | 'http/1.1' = 'h2'): TLSSocket {
    const { context } = this.current;
    const key = `${protocol} ${serverName} ${JSON.stringify(target)}`;
    const session = this.#session(key, context);
    const socket = connect({
      ...target,
      secureContext: context,
      ALPNProtocols: [protocol],
      servername: isIP(serverName) === 0 ? serverName : '',
      rejectUnauthorized: this.#settings.verify,
      checkServerIdentity: (_name, certificate) => checkServerIdentity(serverName, certificate),
      ...(session === undefined ? {} : { session: session.ticket }),
    });
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    socket.on('session', (ticket: Buffer) => {
      const certificate = socket.getPeerX509Certificate();
      // A resumed session does not always have the certificate that it began with.
      const expires = certificate === undefined ? (session?.expires ?? 0) : Date.parse(certificate.validTo);
      this.#sessions.set(key, { ticket, context, expires });
    });
    socket.once('secureConnect', () => {
      if (protocol === 'h2' && socket.alpnProtocol !== 'h2')
        socket.destroy(new Error('the server did not agree on HTTP/2 (ALPN h2)'));
    });
    return socket;
  }

  /** The session to resume; a ticket serves until the next one comes. */
  #session(key: string, context: SecureContext): Session | undefined {
    const session = this.#sessions.get(key);
    return session?.context === context && Date.now() < session.expires ? session : undefined;
  }
}

/** @param ofClients calls of clients are sent there */
function loadState({ pair, ca }: ClientTlsSettings, ofClients: boolean): ClientState {
  const keys = pair === undefined ? undefined : readKeyPair(pair);
  const [name] = keys === undefined || !ofClients ? [] : commonNames(keys.leaf);
  if (pair !== undefined && name !== undefined) {
    // etcd with --client-cert-auth would take every client of the proxy for the user of that name.
    throw new TlsFileError(pair.cert, `cert has non empty Common Name (${name})`);
  }
  const context = contextOf(pair?.cert ?? ca, {
    ca: ca === undefined ? systemAuthorities() : readAuthorities(ca),
    // As in Go, an intermediate authority in the file is trusted without its root.
    allowPartialTrustChain: true,
    minVersion: 'TLSv1.2',
    ...(keys === undefined ? {} : { cert: keys.cert, key: keys.key }),
  });
  return { context, expires: keys === undefined ? undefined : new Date(keys.leaf.validTo) };
}

/** The authorities that the system trusts, as Go takes them; Node.js's own list where the system has none. */
function systemAuthorities(): string[] {
  const system = getCACertificates('system');
  return system.length > 0 ? system : getCACertificates('default');
}
