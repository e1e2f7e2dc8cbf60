/** What namespaces cost, counted in plain numbers, which become series at each scrape. */
import type { Registry } from '@prometheus-io/client';
import type { NamespaceStats } from '../namespace/stats.ts';
import { exposeCounter, exposeCounts } from './readings.ts';

/** Exposes it. */
export function exposeNamespaces(registry: Registry, stats: NamespaceStats): void {
  exposeCounts(
    registry,
    'etcd_proxy_namespace_shared_replies_total',
    'Replies within namespaces that many may get, by what came of them.',
    'outcome',
    () => [
      ['translated', stats.translated],
      ['found', stats.found],
      ['forgotten', stats.forgotten],
    ],
  );
  exposeCounter(
    registry,
    'etcd_proxy_namespace_messages_in_turns_total',
    'Messages whose keys took more than one turn to be rewritten.',
    () => stats.inTurns,
  );
  exposeCounter(
    registry,
    'etcd_proxy_namespace_unknown_methods_total',
    'Calls within namespaces that were refused because nobody knows which keys the method has.',
    () => stats.unknown,
  );
}
