/** Where endpoints come from, as configured: the sources, joined, and what they ask by. */
import type { Login } from '../clients/login.ts';
import type { Config } from '../config/config.ts';
import {
  asksPeers,
  discoveryEndpoints,
  discoveryUrl,
  exitsWhenFull,
  fixedEndpoints,
  refreshInterval,
} from '../config/discovery.ts';
import { deciding, discoveryTls } from '../config/tls.ts';
import { ClusterFile } from '../endpoints/cluster-file.ts';
import { Discovery } from '../endpoints/discovery.ts';
import { DiscoveryV2 } from '../endpoints/discovery-v2.ts';
import { DiscoveryV3 } from '../endpoints/discovery-v3.ts';
import { FixedEndpoints } from '../endpoints/fixed-endpoints.ts';
import type { FoundEndpoints, SourceObserver } from '../endpoints/found-endpoints.ts';
import { InitialCluster } from '../endpoints/initial-cluster.ts';
import { KnownEndpoints } from '../endpoints/known-endpoints.ts';
import { type PeerSeeds, Peers } from '../endpoints/peers.ts';
import { SrvRecords } from '../endpoints/srv-records.ts';
import { SyncedMembers } from '../endpoints/synced-members.ts';
import { Cluster as ClusterApi } from '../etcd/methods.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { ClientTls } from '../tls/client-tls.ts';
import type { ReloadObserver } from '../tls/reloading.ts';
import { ClusterClient } from '../upstream/cluster-client.ts';
import type { TlsDialer } from '../upstream/dial.ts';
import type { EndpointSource } from '../upstream/endpoint-source.ts';
import { PingIntervals } from '../upstream/ping-intervals.ts';

interface Parts {
  readonly config: Config;
  readonly records: SourceObserver;
  readonly reloads: ReloadObserver;
  /** To members. */
  readonly tls: TlsDialer;
  /** What follows the endpoints, and is asked for more of them. */
  readonly cluster: () => ClusterClient;
  readonly login: () => Login;
  /** There is no place left in the cluster at the discovery service, and the user wants to be no proxy. */
  readonly onFull: () => void;
}

/** How long the cluster has to tell of its members. Milliseconds. */
const MEMBER_LIST_MS = 5000;

/** Whether an endpoint may speak TLS, as far as is known beforehand. */
export function mayBeSecure(config: Config): boolean {
  const looks =
    config['discovery-srv'] !== '' || asksPeers(config) || config['endpoints-auto-sync-interval'] > 0;
  return looks || fixedEndpoints(config).some(({ secure }) => secure);
}

export class Endpoints {
  /** What the pool follows. */
  readonly source: EndpointSource;
  readonly #parts: Parts;
  /** To discovery services; undefined where there is none. */
  readonly #tls: ClientTls | undefined;

  constructor(parts: Parts) {
    const { config, records } = parts;
    this.#parts = parts;
    const asksService = config.discovery !== '' || config['discovery-token'] !== '';
    this.#tls = asksService ? new ClientTls(discoveryTls(config), parts.reloads, 'discovery') : undefined;
    this.source = new KnownEndpoints({
      fixed: fixedEndpoints(config),
      found: [...this.#srvRecords(), ...this.#peers()],
      synced: this.#synced(),
      decide: deciding(config),
      inUse: () => parts.cluster().current,
      observer: records,
    });
  }

  /** Reads what TLS to a discovery service needs. @throws TlsFileError */
  async start(): Promise<void> {
    await this.#tls?.start();
  }

  /** Reads that again. Never rejects. */
  async reload(): Promise<void> {
    await this.#tls?.reload();
  }

  close(): void {
    this.source.close();
    this.#tls?.close();
  }

  #srvRecords(): FoundEndpoints[] {
    const { config, records } = this.#parts;
    if (config['discovery-srv'] === '') return [];
    const srv = new SrvRecords({
      domain: config['discovery-srv'],
      serviceName: config['discovery-srv-name'],
      insecure: config['insecure-discovery'],
      interval: refreshInterval(config),
      observer: records,
    });
    return [srv];
  }

  #peers(): FoundEndpoints[] {
    const { config, records, tls } = this.#parts;
    const seeds = this.#seeds();
    if (seeds === undefined) return [];
    const how = [
      ...config['initial-cluster'].map(({ name }) => name).sort(),
      config.discovery,
      config['discovery-token'],
    ].join(' ');
    const file = new ClusterFile(config['data-dir'], how, (cause) => records.onNotKept(cause));
    const interval = refreshInterval(config);
    return [new Peers({ seeds, file, interval, tls, observer: records })];
  }

  #seeds(): PeerSeeds | undefined {
    const { config, records } = this.#parts;
    const onFull = exitsWhenFull(config) ? this.#parts.onFull : undefined;
    const url = discoveryUrl(config);
    if (config['initial-cluster'].length > 0) return new InitialCluster(config['initial-cluster']);
    if (this.#tls === undefined) return undefined;
    if (url !== undefined) return new Discovery(new DiscoveryV2(url, this.#tls), records, onFull);
    const service = this.#discoveryService(this.#tls);
    return new Discovery(new DiscoveryV3(config['discovery-token'], service), records, onFull);
  }

  /** A client of its own: the service is another cluster than the one that is served. */
  #discoveryService(tls: TlsDialer): ClusterClient {
    const { config, records } = this.#parts;
    return new ClusterClient({
      source: new FixedEndpoints(discoveryEndpoints(config)),
      tls,
      dialTimeout: config['dial-timeout'],
      choice: { pick: 'random', shuffleInterval: 0 },
      maxWaiting: MAX_DISCOVERY_CALLS,
      maxConnections: 1,
      maxReceiveBytes: MAX_DISCOVERY_BYTES,
      http2: { keepaliveTimeoutMs: config['dial-keepalive-timeout'] },
      pings: new PingIntervals(config['dial-keepalive-time']),
      observer: { ...UNHEARD, onFault: (error: unknown) => records.onFault(error) },
    });
  }

  #synced(): SyncedMembers | undefined {
    const { config, records, cluster, login } = this.#parts;
    const interval = config['endpoints-auto-sync-interval'];
    if (interval === 0) return undefined;
    return new SyncedMembers({
      ask: (request) =>
        login().run((metadata) => {
          const call = new OwnCall(ClusterApi.MemberList, metadata, performance.now() + MEMBER_LIST_MS);
          return call.inTime(cluster().unary(request, call));
        }),
      cluster: () => cluster().id,
      hasUser: config['user-file'] !== '',
      interval,
      observer: records,
    });
  }
}

/** Calls to a discovery service at a time. */
const MAX_DISCOVERY_CALLS = 4;
/** The largest of its answers. */
const MAX_DISCOVERY_BYTES = 1 << 20;

const nothing = () => {};

/** Connections to a discovery service are not counted or logged: the source tells what comes of its questions. */
const UNHEARD = {
  onAnswered: nothing,
  onRetried: nothing,
  onConnected: nothing,
  onLost: nothing,
  onClosed: nothing,
  onSwitched: nothing,
  onAsked: nothing,
  onDialFailed: nothing,
  onWaitingFull: nothing,
  onNoStream: nothing,
  onLimit: nothing,
};
