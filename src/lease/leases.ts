/**
 * START HERE. Heartbeats: N streams of clients that keep leases alive, few streams to etcd.
 *
 *   client stream ─ HeartbeatStream ┐                                   ┌ Carrier ─▶ etcd
 *   client stream ─ HeartbeatStream ┼─▶ Carriers, by lease ─────────────┤
 *   client stream ─ HeartbeatStream ┘                                   └ Carrier ─▶ etcd
 *
 * A client's stream is in `client-stream.ts`. One heartbeat goes to etcd for each that a client sends, or for several of one
 * lease that come before it is sent, and never without one: a lease must not outlive its client.
 *
 *   Carriers      the streams of one token, or of one user, to etcd, and how many there are
 *     Credentials   whose token these show
 *     TokenChecks   who shares them: whose token etcd takes
 *     Carrier       one of them: what was sent, what waits
 *     Promptness    whether answers are late because heartbeats wait for each other; Ticker: its clock
 *   Share         what one connection may have on them: others must not wait long for it
 *   Refused       who does not share, since a refusal ends the stream for all that are on it
 */
import type { Identity } from '../clients/identity.ts';
import { TokenUsers } from '../clients/token-users.ts';
import { KV } from '../etcd/methods.ts';
import type { Upstream } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Carriers, type SharedCarriers } from './carriers.ts';
import { ClientCredentials, UserCredentials, type UserOwner } from './credentials.ts';
import { Refused, type RefusedOnes } from './refused.ts';
import { LeaseStats } from './stats.ts';
import { Ticker } from './ticker.ts';
import { TokenChecks, type TokenChecksOwner } from './token-checks.ts';

/** For how long streams to etcd stay that no client uses, in milliseconds, and of how many tokens and users. */
const LINGER_MS = 5000;
const MAX_LINGERING = 100;

/** How long a client waits at most to hear whether etcd takes its token, in milliseconds: a lease of five seconds lives as long. */
const CHECK_MS = 2000;

export class Leases implements SharedCarriers, TokenChecksOwner, UserOwner {
  readonly upstream: Upstream;
  readonly stats = new LeaseStats();
  readonly ticker = new Ticker();
  readonly refused = new Refused(() => this.stats.limits.refused++);
  readonly #users: TokenUsers;
  readonly #checks = new TokenChecks(this);
  /** Those of tokens, of users, and of nobody, by the ids of their credentials. */
  readonly #carriers = new Map<string, Carriers>();
  /** Those of users among them. */
  readonly #ofUsers = new Map<string, UserCredentials>();
  /** Those that no client uses, the one that waits for longest first. */
  readonly #unused = new Map<Carriers, NodeJS.Timeout>();

  /** @param users whose the tokens are that the proxy saw being handed out; this hears of those that are forgotten */
  constructor(upstream: Upstream, users = new TokenUsers()) {
    this.upstream = upstream;
    this.#users = users;
    users.onForgotten((token, user) => {
      this.#checks.forget(token);
      this.#ofUsers.get(UserCredentials.idOf(user))?.drop(token);
    });
  }

  /** Of how many tokens and users there are carriers. */
  get size(): number {
    return this.#carriers.size;
  }

  /**
   * Finds the carriers for a client's stream: those of its user, where the proxy saw the token being handed out and etcd takes
   * it still.
   * @param done is called at once, or when etcd has said whether it does. Who is there still asks for the carriers and enters them
   *   at once: those that nobody has entered would not be forgotten
   */
  place(identity: Identity, done: (carriers: () => Carriers) => void): void {
    const known = () => this.of(identity);
    if (this.#sharedId(identity) === undefined || this.#checks.isGood(identity)) done(known);
    else
      this.#checks.ask(identity, (isGood) => done(isGood === true ? known : () => this.#ofItself(identity)));
  }

  /** The carriers of a client, whose token etcd takes if it has one. */
  of(identity: Identity): Carriers {
    const id = this.#sharedId(identity);
    return id === undefined
      ? this.#ofItself(identity)
      : (this.#carriers.get(id) ?? this.#begin(id, identity));
  }

  /** Whom of an identity, or its user, etcd has refused. It makes no carriers: they would be forgotten only once a client has used them. */
  refusedOf(identity: Identity): RefusedOnes | undefined {
    const id = this.#sharedId(identity) ?? identity.id;
    return this.#carriers.get(id)?.refused ?? this.refused.of(id);
  }

  isUsed({ token }: Identity): boolean {
    const user = this.#users.userOf(token);
    return user !== undefined && this.#ofUsers.get(UserCredentials.idOf(user))?.has(token) === true;
  }

  onBad({ token }: Identity): void {
    this.forget(token);
  }

  forget(token: string): void {
    this.#users.forget(token);
  }

  onSpent(): void {
    this.stats.limits.tokens++;
  }

  async read(metadata: Metadata, request: Uint8Array): Promise<Uint8Array> {
    const call = new OwnCall(KV.Range, metadata, performance.now() + CHECK_MS);
    return call.inTime(this.upstream.unary(request, call));
  }

  onUsed(carriers: Carriers): void {
    clearTimeout(this.#unused.get(carriers));
    this.#unused.delete(carriers);
  }

  onUnused(carriers: Carriers): void {
    this.#unused.set(carriers, setTimeout(() => this.#forget(carriers), LINGER_MS).unref());
    if (this.#unused.size <= MAX_LINGERING) return;
    this.stats.limits.lingering++;
    const [oldest] = this.#unused.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  /** Ends all streams to etcd. Those of clients are ended by the doors that they came through. */
  close(): void {
    this.ticker.stop();
    this.#checks.close();
    for (const timer of this.#unused.values()) clearTimeout(timer);
    this.#unused.clear();
    for (const carriers of this.#carriers.values()) carriers.close();
    this.#carriers.clear();
    this.#ofUsers.clear();
  }

  /** The user's, where the token is of one that is known; `undefined`: the client is judged by itself. */
  #sharedId({ token }: Identity): string | undefined {
    const user = this.#users.userOf(token);
    if (user === undefined) return undefined;
    const id = UserCredentials.idOf(user);
    return this.#ofUsers.get(id)?.isSpent === true ? undefined : id;
  }

  #ofItself(identity: Identity): Carriers {
    return this.#carriers.get(identity.id) ?? this.#keep(new Carriers(this, new ClientCredentials(identity)));
  }

  #begin(id: string, first: Identity): Carriers {
    const credentials = new UserCredentials(id, first, this);
    this.#ofUsers.set(id, credentials);
    return this.#keep(new Carriers(this, credentials));
  }

  #keep(carriers: Carriers): Carriers {
    this.#carriers.set(carriers.id, carriers);
    return carriers;
  }

  #forget(carriers: Carriers): void {
    this.onUsed(carriers);
    this.#carriers.delete(carriers.id);
    this.#ofUsers.delete(carriers.id);
    carriers.retire();
  }
}
