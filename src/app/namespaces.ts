/** The namespaces of the listeners: which services their clients get, and what is counted for each. */
import type { Registry } from '@prometheus-io/client';
import type { Config } from '../config/config.ts';
import { listeningOf } from '../config/listening.ts';
import { IsolatedServices } from '../namespace/isolation.ts';
import { IsolationStats } from '../namespace/isolation-stats.ts';
import type { LeasesWithin } from '../namespace/leases-within.ts';
import { NamespacedServices } from '../namespace/namespaced.ts';
import { ServicesOfClients } from '../namespace/services-of-clients.ts';
import { NamespaceStats } from '../namespace/stats.ts';
import type { CallRecords } from '../observe/call-records.ts';
import { exposeNamespaces } from '../observe/namespace-metrics.ts';
import { NamespaceRecords } from '../observe/namespace-records.ts';
import type { ProxyRecords } from '../observe/proxy-records.ts';
import type { Services } from '../rpc/contract.ts';

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  /** Serve every key. */
  readonly services: Services;
  readonly calls: CallRecords;
  readonly proxy: ProxyRecords;
}

/** What the doors need: as it is without namespaces, where there are none. */
export function buildNamespaces({ config, registry, services, calls, proxy }: Parts) {
  const rewriting = new NamespaceStats();
  exposeNamespaces(registry, rewriting);
  const names = new Set(listeningOf(config).map(({ namespace }) => namespace));
  const spaces = new Map<string, Services>();
  if (names.delete('')) spaces.set('', services);
  if (names.size === 0) return { services, calls, connections: proxy };
  const isStrict = config['namespace-isolation'] === 'strict';
  const stats = new Map([...names].map((name) => [name, new IsolationStats()]));
  for (const [name, counts] of stats) {
    const prefix = Buffer.from(name);
    const within = (leases?: LeasesWithin) => new NamespacedServices(services, prefix, rewriting, leases);
    spaces.set(name, isStrict ? new IsolatedServices(within, prefix, counts) : within());
  }
  const records = new NamespaceRecords(registry, stats, { calls, connections: proxy });
  const [only] = spaces.values();
  const served = spaces.size === 1 && only ? only : new ServicesOfClients(spaces);
  return { services: served, calls: records, connections: records };
}
