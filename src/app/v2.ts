/** What the flags of the v2 proxy (`--proxy` and its times) make of the services, and of etcd's v2 API. */
import type { Registry } from '@prometheus-io/client';
import type { Config } from '../config/config.ts';
import { V2Metrics } from '../observe/v2-metrics.ts';
import type { Services } from '../rpc/contract.ts';
import { ReadOnlyServices } from '../services/read-only.ts';
import type { ClusterClient } from '../upstream/cluster-client.ts';
import type { TlsDialer } from '../upstream/dial.ts';
import { dialHttp1 } from '../upstream/dial-http1.ts';
import type { V2Options } from '../web/v2/options.ts';

/** The services that doors meet. */
export function withMode(config: Config, services: Services): Services {
  return config.proxy === 'readonly' ? new ReadOnlyServices(services) : services;
}

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  readonly cluster: ClusterClient;
  readonly tls: TlsDialer;
}

/** How etcd's v2 API is served; undefined: not at all. */
export function buildV2({ config, registry, cluster, tls }: Parts): V2Options | undefined {
  if (config.proxy === 'off') return undefined;
  return {
    readOnly: config.proxy === 'readonly',
    // As the v2 proxy did; otherwise one endpoint serves everything, and that is the one in use.
    shuffled: config.proxy !== undefined,
    members: () =>
      cluster.all.map((endpoint) => {
        const { name, secure, authority, target } = endpoint;
        const url = 'path' in target ? name : `${secure ? 'https' : 'http'}://${authority}`;
        return { url, connect: () => dialHttp1(endpoint, tls) };
      }),
    times: {
      failureWait: config['proxy-failure-wait'],
      refreshInterval: config['proxy-refresh-interval'],
      dialTimeout: config['proxy-dial-timeout'],
      writeTimeout: config['proxy-write-timeout'],
      readTimeout: config['proxy-read-timeout'],
    },
    observer: new V2Metrics(registry),
  };
}
