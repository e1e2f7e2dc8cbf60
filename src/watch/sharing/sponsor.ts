/**
 * Who some feeds are to etcd: whose token their watches carry. A client's own feeds carry its own. Feeds that several share
 * carry whatever token of the proxy's user, or of the clients' user, etcd takes at the time, and outlive each of them.
 */
import type { Identity } from '../../clients/identity.ts';
import type { Login } from '../../clients/login.ts';
import type { TokenUsers } from '../../clients/token-users.ts';
import { KV } from '../../etcd/methods.ts';
import { OWN_METADATA } from '../../etcd/own-metadata.ts';
import { isRefusal } from '../../etcd/statuses.ts';
import { saysPermissionDenied } from '../../etcd/words.ts';
import type { Metadata } from '../../rpc/metadata.ts';
import type { Method } from '../../rpc/method.ts';
import { RpcError } from '../../rpc/status.ts';

/** Makes a call of the proxy's own. */
export interface SponsorUpstream {
  unary(method: Method, metadata: Metadata, request: Uint8Array): Promise<Uint8Array>;
}

export interface Sponsor {
  /** Stands for it in tables. */
  readonly identity: Identity;
  /** What calls and streams carry now. */
  readonly metadata: Metadata;
  /** Whether it may have other credentials when etcd refuses these: {@link read} gets them. */
  readonly renews: boolean;
  /** Sends a Range; again with other credentials where etcd does not take the present ones. */
  read(request: Uint8Array): Promise<Uint8Array>;
}

/** One client, by what it has shown itself. */
export class ClientSponsor implements Sponsor {
  readonly identity: Identity;
  readonly metadata: Metadata;
  readonly renews = false;
  readonly #upstream: SponsorUpstream;

  constructor(upstream: SponsorUpstream, identity: Identity) {
    this.#upstream = upstream;
    this.identity = identity;
    this.metadata = identity.metadata;
  }

  read(request: Uint8Array): Promise<Uint8Array> {
    return this.#upstream.unary(KV.Range, this.metadata, request);
  }
}

/** The identity of what is no client: a JSON object, where those of clients are arrays or digests. */
function sharedIdentity(id: string): Identity {
  return { id, bytes: id.length, metadata: OWN_METADATA, hasToken: true, token: '' };
}

/** The proxy's own user. */
export class OwnSponsor implements Sponsor {
  static readonly id = '{}';
  readonly identity = sharedIdentity(OwnSponsor.id);
  readonly renews = true;
  readonly #upstream: SponsorUpstream;
  readonly #login: Login;

  constructor(upstream: SponsorUpstream, login: Login) {
    this.#upstream = upstream;
    this.#login = login;
  }

  get metadata(): Metadata {
    return this.#login.metadata;
  }

  read(request: Uint8Array): Promise<Uint8Array> {
    return this.#login.run((metadata) => this.#upstream.unary(KV.Range, metadata, request));
  }
}

/** A user whose tokens this proxy saw being handed out. */
export class UserSponsor implements Sponsor {
  readonly identity: Identity;
  readonly renews = true;
  readonly #upstream: SponsorUpstream;
  readonly #users: TokenUsers;
  readonly #user: string;
  #metadata: Metadata;
  /** What a client has shown last that etcd took. */
  #offered: Metadata;

  /** @param first what one of its clients has shown, and etcd takes */
  constructor(upstream: SponsorUpstream, users: TokenUsers, user: string, first: Metadata) {
    this.identity = sharedIdentity(UserSponsor.idOf(user));
    this.#upstream = upstream;
    this.#users = users;
    this.#user = user;
    this.#metadata = first;
    this.#offered = first;
  }

  static idOf(user: string): string {
    return JSON.stringify({ user });
  }

  get metadata(): Metadata {
    return this.#metadata;
  }

  /** One of its clients has shown these, and etcd takes them: they are the next where it refuses the present ones. */
  offer(metadata: Metadata): void {
    this.#offered = metadata;
  }

  async read(request: Uint8Array): Promise<Uint8Array> {
    const used = this.#metadata;
    try {
      return await this.#upstream.unary(KV.Range, used, request);
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (!isAboutToken(error)) throw error;
      return this.#readAsAnother(request, used, error);
    }
  }

  async #readAsAnother(request: Uint8Array, used: Metadata, refusal: RpcError): Promise<Uint8Array> {
    this.#users.forget(tokenOf(used));
    for (const metadata of this.#others(used)) {
      try {
        const reply = await this.#upstream.unary(KV.Range, metadata, request);
        this.#metadata = metadata;
        return reply;
      } catch (thrown) {
        const error = RpcError.from(thrown);
        if (!isAboutToken(error)) throw error;
        this.#users.forget(tokenOf(metadata));
      }
    }
    throw refusal;
  }

  #others(used: Metadata): Metadata[] {
    const handedOut = this.#users.tokensOf(this.#user).map(({ metadata }) => metadata);
    const token = tokenOf(used);
    return [this.#offered, ...handedOut].filter((metadata) => tokenOf(metadata) !== token);
  }
}

/** Whether another token may help. */
function isAboutToken(error: RpcError): boolean {
  return isRefusal(error) && !saysPermissionDenied(error);
}

/** The token that metadata show. */
export function tokenOf(metadata: Metadata): string {
  return metadata.get('token') ?? metadata.get('authorization') ?? '';
}
