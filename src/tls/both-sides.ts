/**
 * TLS of the whole proxy: to clients, to etcd, or both, started and reloaded together.
 */
import { ClientTls } from './client-tls.ts';
import type { ReloadObserver } from './reloading.ts';
import { ServerTls } from './server-tls.ts';
import type { ClientTlsSettings, FlaggedFile, ServerTlsSettings } from './settings.ts';
import type { HandshakeObserver } from './terminator.ts';
import { UserMapFile } from './user-map.ts';

export class BothSides {
  /** Undefined: clients speak plaintext. */
  readonly server: ServerTls | undefined;
  readonly client: ClientTls;
  /** Who clients are to etcd by their certificates; undefined: nobody. */
  readonly users: UserMapFile | undefined;
  readonly #used: readonly (ServerTls | ClientTls | UserMapFile)[];

  /**
   * @param server undefined where clients speak plaintext
   * @param etcd whether any endpoint speaks TLS; if none does, the client's files are not read
   * @param users the file that says who clients are to etcd
   */
  constructor(
    server: ServerTlsSettings | undefined,
    client: ClientTlsSettings,
    etcd: boolean,
    users: FlaggedFile | undefined,
    observer: HandshakeObserver & ReloadObserver,
  ) {
    this.server = server && new ServerTls(server, observer);
    this.client = new ClientTls(client, observer);
    this.users = users && new UserMapFile(users, observer);
    this.#used = [
      ...(this.server === undefined ? [] : [this.server]),
      ...(etcd ? [this.client] : []),
      ...(this.users === undefined ? [] : [this.users]),
    ];
  }

  /** Reads all files for the first time. @throws TlsFileError when one cannot be used */
  async start(): Promise<void> {
    for (const side of this.#used) await side.start();
  }

  /** Reads all files again; a side whose files cannot be used stays as it is. Never rejects. */
  async reload(): Promise<void> {
    for (const side of this.#used) await side.reload();
  }

  /** Stops to watch the files. */
  close(): void {
    for (const side of this.#used) side.close();
  }
}
