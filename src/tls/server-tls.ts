/**
 * TLS to clients, for every listener of the proxy: one set of files, and a terminator for each listener. New
 * handshakes use the newest state; connections that are open keep what they have.
 */
import type { TLSSocket } from 'node:tls';
import { pathsOf, Reloading, type ReloadObserver, type ReloadSource } from './reloading.ts';
import { selfSignedFiles } from './self-signed.ts';
import { loadServerState, type ServerState } from './server-state.ts';
import type { KeyPairFiles, ServerTlsSettings } from './settings.ts';
import { type HandshakeObserver, TlsTerminator } from './terminator.ts';

export class ServerTls extends Reloading<ServerState> {
  readonly #settings: ServerTlsSettings;
  readonly #observer: HandshakeObserver;

  constructor(settings: ServerTlsSettings, observer: HandshakeObserver & ReloadObserver) {
    super('server', new ServerFiles(settings), observer);
    this.#settings = settings;
    this.#observer = observer;
  }

  /** Whether the certificate that clients are shown is for this host name. False before `start` has settled. */
  isFor(name: string): boolean {
    return this.loaded && this.current.leaf.checkHost(name) !== undefined;
  }

  /**
   * The TLS side of one listener. `start` must have settled.
   * @param alpn protocols to offer, the preferred first
   * @param onSecured takes the connections whose handshake went well
   */
  terminator(alpn: readonly string[], onSecured: (socket: TLSSocket) => void): TlsTerminator {
    const terminator = new TlsTerminator({
      alpn,
      onSecured,
      handshakeTimeout: this.#settings.handshakeTimeout,
      clientCertificates: this.#settings.ca !== undefined,
      state: this.current,
      observer: this.#observer,
    });
    this.onLoad((state) => terminator.use(state));
    return terminator;
  }
}

/** The files, of which the proxy makes the certificate and the key itself where it is told to. */
class ServerFiles implements ReloadSource<ServerState> {
  readonly #settings: ServerTlsSettings;
  #pair: KeyPairFiles | undefined;

  constructor(settings: ServerTlsSettings) {
    this.#settings = settings;
  }

  async paths(): Promise<string[]> {
    const { pair, ca, crl } = this.#settings;
    this.#pair = 'folder' in pair ? await selfSignedFiles(pair) : pair;
    return pathsOf(this.#pair.cert, this.#pair.key, ca, crl);
  }

  load(): Promise<ServerState> {
    return loadServerState(this.#settings, this.#pair as KeyPairFiles);
  }
}
