/**
 * TLS to clients, for every listener of the proxy: one set of files, and a terminator for each listener. New
 * handshakes use the newest state; connections that are open keep what they have.
 */
import type { TLSSocket } from 'node:tls';
import { Reloading, type ReloadObserver } from './reloading.ts';
import { selfSignedFiles } from './self-signed.ts';
import { loadServerState, type ServerState } from './server-state.ts';
import type { KeyPairFiles, ServerTlsSettings } from './settings.ts';
import { type HandshakeObserver, TlsTerminator } from './terminator.ts';

export class ServerTls {
  readonly #settings: ServerTlsSettings;
  readonly #observer: HandshakeObserver;
  readonly #reloading: Reloading<ServerState>;
  #files: KeyPairFiles | undefined;

  constructor(settings: ServerTlsSettings, observer: HandshakeObserver & ReloadObserver) {
    this.#settings = settings;
    this.#observer = observer;
    const source = { paths: () => this.#paths(), load: () => this.#load() };
    this.#reloading = new Reloading('server', source, observer);
  }

  /** Reads the files for the first time. @throws TlsFileError when one cannot be used */
  start(): Promise<void> {
    return this.#reloading.start();
  }

  /** Reads the files again; what cannot be used leaves everything as it is. Never rejects. */
  reload(): Promise<void> {
    return this.#reloading.reload();
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
      state: this.#reloading.current,
      observer: this.#observer,
    });
    this.#reloading.onLoad((state) => terminator.use(state));
    return terminator;
  }

  /** Stops to watch the files. */
  close(): void {
    this.#reloading.close();
  }

  async #paths(): Promise<string[]> {
    const { pair, ca, crl } = this.#settings;
    this.#files = 'folder' in pair ? await selfSignedFiles(pair) : pair;
    return [this.#files.cert, this.#files.key, ca, crl].flatMap((file) =>
      file === undefined ? [] : [file.path],
    );
  }

  #load(): Promise<ServerState> {
    return loadServerState(this.#settings, this.#files as KeyPairFiles);
  }
}
