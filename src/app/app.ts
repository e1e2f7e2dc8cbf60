/**
 * START HERE. Builds every part of the proxy and joins them.
 *
 *   socket -> one port -> HTTP/2 engine -> gRPC door ---------------> services -> cluster client -> etcd
 *                    \                 \-> web door (in memory) --/
 *                     \-> HTTP/1.1 ------> web door (Fastify, Connect, gRPC-Web, health, metrics)
 */
import { Registry } from '@prometheus-io/client';
import { AuthRevision } from '../clients/auth-revision.ts';
import type { Login } from '../clients/login.ts';
import type { MappedClients } from '../clients/mapped-clients.ts';
import type { Config } from '../config/config.ts';
import { listeningOf } from '../config/listening.ts';
import { clientTls, clientUsersFile, serverTls } from '../config/tls.ts';
import { KV } from '../etcd/methods.ts';
import { OWN_METADATA } from '../etcd/own-metadata.ts';
import { Leases } from '../lease/leases.ts';
import type { Http2Connections } from '../listen/http2-connections.ts';
import type { Listeners } from '../listen/listeners.ts';
import type { Members } from '../members/members.ts';
import type { Mirrors } from '../mirror/mirrors.ts';
import { CallRecords } from '../observe/call-records.ts';
import { exposeLeases } from '../observe/lease-metrics.ts';
import type { Logger, ProgramLog } from '../observe/log.ts';
import { LoginRecords } from '../observe/login-records.ts';
import { PageMetrics } from '../observe/metrics-pages.ts';
import { ProxyRecords } from '../observe/proxy-records.ts';
import { TlsRecords } from '../observe/tls-records.ts';
import { exposeWatches } from '../observe/watch-metrics.ts';
import { SigningServices } from '../services/signing.ts';
import { BothSides } from '../tls/both-sides.ts';
import type { ClusterClient } from '../upstream/cluster-client.ts';
import { EndpointPages } from '../upstream/endpoint-pages.ts';
import { WatchHub } from '../watch/hub.ts';
import type { LateWebDoor } from '../web/late-door.ts';
import { buildDoors } from './doors.ts';
import { type Endpoints, mayBeSecure } from './endpoints.ts';
import { buildClients, buildLogin } from './login.ts';
import { buildMembers } from './members.ts';
import { buildNamespaces } from './namespaces.ts';
import { buildReads } from './reads.ts';
import { buildServices } from './services.ts';
import { buildUpstream } from './upstream.ts';
import { withMode } from './v2.ts';

export class App {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #endpoints: Endpoints;
  readonly #cluster: ClusterClient;
  readonly #etcdPages: EndpointPages;
  readonly #login: Login;
  readonly #clients: MappedClients | undefined;
  readonly #watches: WatchHub;
  readonly #mirrors: Mirrors;
  readonly #leases: Leases;
  readonly #members: Members;
  readonly #web: LateWebDoor;
  readonly #http2: Http2Connections;
  /** Serves the pages on `--metrics-addr`. */
  readonly #pages: LateWebDoor;
  readonly #listeners: Listeners;
  readonly #tls: BothSides;

  /** @param onFull is called when there is no place left in the cluster, where the user wants that to be the end */
  constructor(config: Config, programLog: ProgramLog, onFull: () => void = () => {}) {
    const { logger: log } = programLog;
    this.#config = config;
    this.#log = log;
    const registry = new Registry();
    const proxyRecords = new ProxyRecords(registry, programLog);

    // TLS: either side may speak it.
    const tlsRecords = new TlsRecords(registry, log);
    this.#tls = new BothSides(
      serverTls(config),
      clientTls(config),
      mayBeSecure(config),
      clientUsersFile(config),
      tlsRecords,
    );

    // Upstream: endpoints, written down or looked for, and the one place that knows connections to them.
    const { endpoints, cluster } = buildUpstream({
      config,
      registry,
      programLog,
      tls: this.#tls.client,
      reloads: tlsRecords,
      login: () => this.#login,
      onFull,
    });
    this.#endpoints = endpoints;
    this.#cluster = cluster;

    this.#etcdPages = new EndpointPages({
      endpoint: () => this.#cluster.current,
      tls: this.#tls.client,
      observer: new PageMetrics(registry),
    });

    // A user of the proxy's own, for what it asks on its own account.
    const records = new LoginRecords(registry, log);
    this.#login = buildLogin({ config, records, upstream: this.#cluster });

    // Watches: the clients' share few on etcd.
    this.#watches = new WatchHub({
      upstream: this.#cluster,
      historyBytes: config['watch-history-bytes'],
      historyRevisions: config['watch-history-revisions'],
      maxRevisionBytes: config['max-recv-bytes'],
      fragmentBytes: config['watch-fragment-bytes'],
      linger: config['watch-linger'],
      sharing: {
        login: this.#login,
        revision: new AuthRevision(this.#etcdPages, (request) =>
          this.#watches.unary(KV.Range, OWN_METADATA, request),
        ),
        reauthorize: config['watch-reauthorize'],
      },
    });

    // Reads: what knows answers, none of which is older than what clients have seen.
    const reads = buildReads({
      config,
      registry,
      log,
      cluster: this.#cluster,
      hub: this.#watches,
      login: this.#login,
    });
    exposeWatches(registry, this.#watches, reads.seen);
    this.#mirrors = reads.mirrors;

    // Heartbeats: those of many clients travel together.
    this.#leases = new Leases(reads.upstream, this.#watches.shared.users);
    exposeLeases(registry, this.#leases.stats);

    // Registration: the proxy's own, whose heartbeats travel with those of clients, and the proxies that clients are told of.
    this.#members = buildMembers({
      config,
      registry,
      log,
      reads,
      hub: this.#watches,
      login: this.#login,
      services: () => full,
    });

    // Services: what the proxy does with each method, whichever door it came through.
    const { services: full, healthCheck } = buildServices({
      config,
      reads,
      hub: this.#watches,
      login: this.#login,
      leases: this.#leases,
      members: this.#members,
    });
    const calls = new CallRecords(registry, full.methods(), programLog);
    const { services: within, ...observers } = buildNamespaces({
      config,
      registry,
      services: full,
      calls,
      proxy: proxyRecords,
    });

    // Clients that are users of etcd by their certificates.
    this.#clients = buildClients({ records, services: full, upstream: this.#cluster, tls: this.#tls });
    const services = withMode(
      config,
      this.#clients === undefined ? within : new SigningServices(within, this.#clients),
    );

    // Doors: what speaks with clients, and the listeners before it.
    const doors = buildDoors({
      config,
      registry,
      services,
      full,
      healthCheck,
      observers,
      etcdPages: this.#etcdPages,
      cluster: this.#cluster,
      tls: this.#tls,
      proxyRecords,
      tlsRecords,
    });
    this.#web = doors.web;
    this.#pages = doors.pages;
    this.#http2 = doors.http2;
    this.#listeners = doors.listeners;
  }

  /**
   * Listens and starts connecting to etcd. Rejects when an address cannot be used.
   * @throws TlsFileError before it listens, when a certificate, key, authority or revocation list cannot be used
   */
  async start(): Promise<void> {
    await this.#tls.start();
    await this.#endpoints.start();
    const [main, ...others] = listeningOf(this.#config);
    const address = await this.#listeners.listen(main.address, main.namespace, main.flag);
    for (const { address, namespace, flag } of others) {
      const got = await this.#listeners.listen(address, namespace, flag);
      const what = namespace === '' ? 'listening for clients' : 'listening for clients of a namespace';
      this.#log.info({ address: got, ...(namespace !== '' && { namespace }) }, what);
    }
    for (const wanted of this.#config['metrics-addr']) {
      const got = await this.#listeners.listenForPages(wanted);
      this.#log.info({ address: got }, 'gRPC proxy listening for metrics');
    }
    this.#cluster.start();
    this.#mirrors.start();
    this.#members.start(address, 'path' in main.address.target, main.namespace);
    const namespace = main.namespace === '' ? undefined : main.namespace;
    this.#log.info({ address, namespace }, 'listening for gRPC proxy client requests');
    this.#log.info({ address }, 'started gRPC proxy');
    void this.#openDoors();
  }

  /** What else there is to read and to build: afterwards a changed file of the program is nothing to the proxy. */
  async #openDoors(): Promise<void> {
    const doors = this.#config['metrics-addr'].length > 0 ? [this.#web, this.#pages] : [this.#web];
    for (const door of doors) {
      if (!(await door.open())) return;
    }
    this.#log.debug('all of the program is read');
  }

  /** Reads certificates, keys, authorities and revocation list again, for the handshakes to come. Never rejects. */
  async reload(): Promise<void> {
    await this.#tls.reload();
    await this.#endpoints.reload();
  }

  /** Is found no more, then accepts nothing new, lets calls finish for at most `ms` milliseconds, and closes everything. */
  async drain(ms: number): Promise<void> {
    await this.#members.deregister();
    this.#listeners.close();
    await Promise.all([this.#http2.drain(ms), this.#web.drain(ms), this.#pages.drain(ms)]);
    this.close();
  }

  /** Closes everything at once. */
  close(): void {
    this.#tls.close();
    this.#listeners.destroy();
    this.#http2.close();
    this.#web.close();
    this.#pages.close();
    this.#login.close();
    this.#clients?.close();
    this.#mirrors.close();
    this.#watches.close();
    this.#members.close();
    this.#leases.close();
    this.#etcdPages.close();
    this.#cluster.close();
    this.#endpoints.close();
  }
}
