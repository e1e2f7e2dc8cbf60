/**
 * The doors by which clients come in: gRPC on the HTTP/2 engine, everything else on Fastify, which is read when gRPC is served;
 * and the listeners before them.
 */
import type { Registry } from '@prometheus-io/client';
import type { Config } from '../config/config.ts';
import { ownHosts } from '../config/hosts.ts';
import { GrpcServer } from '../grpc/server.ts';
import { Http2Connections } from '../listen/http2-connections.ts';
import { Listeners } from '../listen/listeners.ts';
import { IsolatedPages } from '../observe/isolated-pages.ts';
import { MetricsPages } from '../observe/metrics-pages.ts';
import type { ProxyRecords } from '../observe/proxy-records.ts';
import { exposeRequestMemory } from '../observe/request-metrics.ts';
import type { TlsRecords } from '../observe/tls-records.ts';
import type { Services } from '../rpc/contract.ts';
import { Ledger } from '../rpc/ledger.ts';
import { tooLargeForEtcd } from '../rpc/status.ts';
import { EtcdHealth } from '../services/etcd-health.ts';
import { EtcdVersion } from '../services/etcd-version.ts';
import type { HealthCheck } from '../services/health-check.ts';
import type { BothSides } from '../tls/both-sides.ts';
import type { ClusterClient } from '../upstream/cluster-client.ts';
import type { EndpointPages } from '../upstream/endpoint-pages.ts';
import { LateWebDoor } from '../web/late-door.ts';
import type { WebServerOptions } from '../web/options.ts';
import { http2Settings } from './http2-settings.ts';
import type { buildNamespaces } from './namespaces.ts';
import { buildV2 } from './v2.ts';

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  /** What clients meet. */
  readonly services: Services;
  /** Serve every key, for what the proxy asks itself. */
  readonly full: Services;
  readonly healthCheck: HealthCheck;
  /** Hear of calls and of connections. */
  readonly observers: Omit<ReturnType<typeof buildNamespaces>, 'services'>;
  readonly etcdPages: EndpointPages;
  readonly cluster: ClusterClient;
  readonly tls: BothSides;
  readonly proxyRecords: ProxyRecords;
  readonly tlsRecords: TlsRecords;
}

/** What clients come to. */
export interface Doors {
  readonly web: LateWebDoor;
  /** Serves the pages on `--metrics-addr`. */
  readonly pages: LateWebDoor;
  readonly http2: Http2Connections;
  readonly listeners: Listeners;
}

/** Builds them. Nothing listens yet. */
export function buildDoors(parts: Parts): Doors {
  const { config, registry, services, observers, tls, proxyRecords, tlsRecords } = parts;
  const ledger = new Ledger(config['max-request-bytes-in-flight']);
  exposeRequestMemory(registry, ledger);
  const options = webOptions(parts, ledger);
  const web = new LateWebDoor(options);
  const pages = new LateWebDoor({ ...options, pagesOnly: true });
  const grpc = new GrpcServer({
    services,
    receive: { maxBytes: config['max-send-bytes'], tooLarge: tooLargeForEtcd },
    refusesOwn: true,
    observer: observers.calls,
  });
  const http2 = new Http2Connections({
    grpc,
    fallback: (stream) => web.stream(stream),
    settings: http2Settings(config),
    accounts: ledger,
    observer: observers.connections,
  });
  // ALPN or the first bytes decide between the two.
  const listeners = new Listeners({
    http2,
    http1: (socket, head) => web.connection(socket, head),
    pages: (socket, head) => pages.connection(socket, head),
    tls: tls.server,
    firstByteTimeout: config['first-byte-timeout'],
    observer: {
      onSilentConnection: () => proxyRecords.onSilentConnection(),
      onWrongTransport: (spoken) => tlsRecords.onWrongTransport(spoken),
    },
  });
  return { web, pages, http2, listeners };
}

function webOptions(parts: Parts, ledger: Ledger): WebServerOptions {
  const { config, registry, services, full, healthCheck, observers, etcdPages, cluster, tls } = parts;
  const etcdHealth = new EtcdHealth(etcdPages, () => healthCheck.check());
  const metrics = new MetricsPages(registry, etcdPages);
  const isOwnHost = ownHosts(config);
  return {
    services,
    maxRequestBytes: config['max-send-bytes'],
    ledger,
    limits: { maxHeaderBytes: config['max-metadata-bytes'], writeTimeout: config['client-write-timeout'] },
    onLimit: (limit, client) => parts.proxyRecords.onHttp1Limit(limit, client),
    corsAllowedOrigins: config['cors-allowed-origins'],
    isOwnHost: (name) => isOwnHost(name) || tls.server?.isFor(name) === true,
    health: { check: (query) => etcdHealth.check(query), checkProxy: () => healthCheck.checkProxy() },
    metrics: config['namespace-isolation'] === 'strict' ? new IsolatedPages(metrics) : metrics,
    version: new EtcdVersion(etcdPages, full),
    v2: buildV2({ config, registry, cluster, tls: tls.client }),
    observer: observers.calls,
  };
}
