/**
 * START HERE. The proxies that are found in etcd: this one registers itself there, and clients that ask for the members of
 * the cluster (etcd's Go client does to synchronize its endpoints) are told of proxies.
 *
 *   OwnAddress          under which address clients reach this proxy
 *   Registration        its entry in etcd: an Entry on a lease; KeyWatch: whether it is still there
 *   RegisteredProxies   all entries, followed by a watch
 *   OwnCalls            calls of the proxy's own user
 *
 * A MemberList is always asked of etcd, so that its header is etcd's and whoever may not ask is refused; only its members are
 * replaced.
 */
import { hostname } from 'node:os';
import type { Login } from '../clients/login.ts';
import { prefixRange } from '../etcd/key-range.ts';
import { memberField, withMembers } from '../etcd/member-list.ts';
import { Cluster, KV } from '../etcd/methods.ts';
import type { UnaryHandler } from '../rpc/contract.ts';
import type { WatchHub } from '../watch/hub.ts';
import { type AskingClient, OwnAddress } from './own-address.ts';
import { OwnCalls } from './own-calls.ts';
import { entryKey, entryValue } from './proxy-entry.ts';
import { type ProxiesObserver, RegisteredProxies } from './registered-proxies.ts';
import { Registration, type RegistrationObserver } from './registration.ts';
import { MembersStats } from './stats.ts';

/** Where proxies are registered, and for how long at a time. */
export interface RegistryPlace {
  /** With the namespace in front. */
  readonly prefix: string;
  /** Seconds. */
  readonly ttl: number;
}

/** Hears what operators should know. */
export interface MembersObserver extends ProxiesObserver, RegistrationObserver {
  /** The proxy registers under an address that is good on its own machine only, since it listens on all of them. */
  onOnlyHere(address: string): void;
}

/** What members stand on. */
export interface MembersOptions {
  /** What the user says that clients shall be told; `undefined`: where the proxy listens; empty: nothing of it. */
  readonly advertised: string | undefined;
  /** `undefined`: the proxy does not register, and knows no others. */
  readonly registry: RegistryPlace | undefined;
  readonly hub: WatchHub;
  /** Who the proxy is to etcd. */
  readonly login: Login;
  /** The way to etcd. */
  readonly unary: UnaryHandler;
  /** Answers heartbeats. */
  readonly heartbeat: UnaryHandler;
  /** Is told that etcd's store has lost all above a revision. */
  readonly onSetBack: (revision: number) => void;
  readonly observer: MembersObserver;
}

export class Members {
  readonly stats = new MembersStats();
  readonly #options: MembersOptions;
  readonly #address: OwnAddress;
  readonly #calls: OwnCalls;
  readonly #proxies: RegisteredProxies | undefined;
  #registration: Registration | undefined;

  constructor(options: MembersOptions) {
    this.#options = options;
    const { advertised, registry, hub, login, onSetBack, observer } = options;
    this.#address = new OwnAddress(advertised);
    this.#calls = new OwnCalls(login);
    if (registry === undefined) return;
    const range = prefixRange(entryKey(registry.prefix, '').toString('latin1'));
    const read = (request: Uint8Array) => login.run((metadata) => hub.unary(KV.Range, metadata, request));
    const etcd = { read, feeds: this.#feeds, hasUser: login.hasUser, onSetBack };
    this.#proxies = new RegisteredProxies(range, etcd, this.stats, observer);
  }

  /** The proxies that are registered, as far as this one knows. */
  get known(): number {
    return this.#proxies?.all.length ?? 0;
  }

  /** The methods that are more than forwarded: none where clients shall be told of etcd's members. */
  services(): { readonly method: typeof Cluster.MemberList; readonly unary: UnaryHandler }[] {
    const { advertised, unary } = this.#options;
    if (advertised === '') return [];
    const list: UnaryHandler = async (request, call) =>
      withMembers(await unary(request, call), this.#toldTo(call));
    return [{ method: Cluster.MemberList, unary: list }];
  }

  /** The proxy listens: it can be found from now on. For the parameters see {@link OwnAddress.onListening}. */
  start(address: string, isPath: boolean, namespace: string): void {
    const own = this.#address;
    own.onListening(address, isPath, namespace);
    const { registry, unary, heartbeat, observer } = this.#options;
    if (registry === undefined) return;
    const { registered, depends } = own;
    if (depends) observer.onOnlyHere(registered);
    const { prefix, ttl } = registry;
    const entry = { key: entryKey(prefix, registered), value: entryValue(registered, hostname()) };
    this.#registration = new Registration(
      { ...entry, address: registered, ttl },
      { calls: this.#calls, unary, heartbeat, feeds: this.#feeds },
      this.stats,
      observer,
    );
    this.#registration.start();
    this.#proxies?.start();
  }

  /** The proxy is going to stop: nobody shall find it from now on. Waits for etcd some seconds at most. Never rejects. */
  async deregister(): Promise<void> {
    await this.#registration?.deregister();
  }

  close(): void {
    this.#registration?.close();
    this.#proxies?.close();
  }

  readonly #feeds = () => this.#options.hub.circles.own ?? this.#options.hub.nobodys;

  /**
   * Whom a client is told of. The registered proxies are such as the main listener: they are in no other namespace, and whoever
   * is in another one is told where that is.
   */
  #toldTo(asker: AskingClient): readonly Uint8Array[] {
    const own = this.#address;
    const here = (): Uint8Array => memberField(hostname(), own.toldTo(asker));
    const proxies = own.isInMainNamespace(asker) ? (this.#proxies?.all ?? []) : [];
    if (proxies.length === 0) return [here()];
    const itself = own.depends ? own.registered : undefined;
    return proxies.map(({ address, member }) => (address === itself ? here() : member));
  }
}
