/**
 * Clients that are users of etcd by their certificates: the proxy signs in for them, once for all clients of a user, and
 * puts the user's token into calls that carry none. From there on such a call is like any other of that user.
 */
import { COUNT_ANY } from '../etcd/own-requests.ts';
import { isOutage } from '../etcd/statuses.ts';
import type { Call } from '../rpc/contract.ts';
import { Metadata } from '../rpc/metadata.ts';
import { RpcError } from '../rpc/status.ts';
import type { User } from './authenticate.ts';
import { showsToken } from './identity.ts';
import { Login, type LoginObserver } from './login.ts';
import type { ReadAs } from './probes.ts';

/** How users sign in, and who is told. */
export interface MappedClientsOptions {
  readonly signIn: (user: User) => Promise<Metadata>;
  /** Asks etcd, with metadata. */
  readonly read: ReadAs;
  readonly observer: LoginObserver;
}

/** By the common name of their certificates. */
export class MappedClients {
  readonly #options: MappedClientsOptions;
  #users: ReadonlyMap<string, ClientUser> = new Map();
  /** The same by their credentials: several names may stand for one. */
  #byCredentials: ReadonlyMap<string, ClientUser> = new Map();

  constructor(options: MappedClientsOptions) {
    this.#options = options;
  }

  /** From now on these are the users; who is the same as before, by whatever name of a certificate, keeps its token. */
  use(users: ReadonlyMap<string, User>): void {
    const before = this.#byCredentials;
    const now = new Map<string, ClientUser>();
    const byCredentials = new Map<string, ClientUser>();
    for (const [commonName, user] of users) {
      const credentials = credentialsOf(user);
      const known = byCredentials.get(credentials) ?? before.get(credentials);
      const clientUser = known ?? new ClientUser(user, this.#options);
      byCredentials.set(credentials, clientUser);
      now.set(commonName, clientUser);
    }
    this.#users = now;
    this.#byCredentials = byCredentials;
    for (const [credentials, user] of before) if (!byCredentials.has(credentials)) user.close();
  }

  /** Whom a call is to be made as: nobody else where its client shows a token itself, or is not in the map. */
  of({ client, metadata }: Call): ClientUser | undefined {
    if (client.commonName === undefined) return undefined;
    const user = this.#users.get(client.commonName);
    return user === undefined || showsToken(metadata) ? undefined : user;
  }

  /** Gets no tokens ahead of time any more. */
  close(): void {
    for (const user of this.#byCredentials.values()) user.close();
  }
}

/** A text that is the same for equal users with equal passwords, and for nobody else. */
function credentialsOf({ name, password }: User): string {
  return JSON.stringify([name, password]);
}

/** A user that clients are. */
export class ClientUser {
  readonly #read: ReadAs;
  readonly #login: Login;
  /** Of the present token: metadata of calls with it, by those without, so that equal calls stay the same object. */
  #signed = new WeakMap<Metadata, Metadata>();
  #token: string | undefined;
  #confirming: Promise<boolean> | undefined;

  constructor(user: User, { signIn, read, observer }: MappedClientsOptions) {
    this.#read = read;
    this.#login = new Login(() => signIn(user), { observer, lapses: true });
  }

  /** A call's metadata with the user's token; as they are while etcd has demanded none. */
  sign(metadata: Metadata): Metadata {
    const token = this.#login.metadata.get('token');
    if (token === undefined) return metadata;
    if (token !== this.#token) {
      this.#token = token;
      this.#signed = new WeakMap();
    }
    let signed = this.#signed.get(metadata);
    if (signed === undefined) {
      signed = new Metadata([...metadata.fields, 'token', token]);
      this.#signed.set(metadata, signed);
    }
    return signed;
  }

  /**
   * etcd did not take a call with these metadata, for want of a token or of a better one.
   * @returns whether there is another one now
   * @throws RpcError where none can be had
   */
  async renew(signed: Metadata): Promise<boolean> {
    const present = this.#login.metadata;
    return present.get('token') !== signed.get('token') || this.#login.renew(present);
  }

  /**
   * Sees to it that the token is good, if etcd wants one. Never rejects: what etcd refuses now it refuses again.
   * @returns whether etcd could be asked
   */
  confirm(): Promise<boolean> {
    this.#confirming ??= this.#confirm().finally(() => {
      this.#confirming = undefined;
    });
    return this.#confirming;
  }

  /** The same by a question that is asked from now on: of a token that was lost meanwhile an earlier one says nothing. */
  async confirmAnew(): Promise<boolean> {
    await this.#confirming;
    // Of those who have waited the first one asks, and for all.
    return this.confirm();
  }

  close(): void {
    this.#login.close();
  }

  async #confirm(): Promise<boolean> {
    try {
      await this.#login.run((metadata) => this.#read(metadata, COUNT_ANY));
      return true;
    } catch (error) {
      // A user may be one who may not read this key; whoever cannot sign in is told so by etcd.
      if (!(error instanceof RpcError)) throw error;
      return !isOutage(error);
    }
  }
}
