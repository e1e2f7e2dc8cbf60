/**
 * What the cache of serializable reads does. It counts in plain numbers, which become series when somebody scrapes. The
 * three of the incumbent keep their names and their meaning, and are gauges as there; without a cache they are zero.
 */
import type { Registry } from '@prometheus-io/client';
import type { ReadCache } from '../cache/read-cache.ts';
import { exposeCounter, exposeCounts, exposeGauge } from './readings.ts';

type Reading = readonly [name: string, help: string, value: (cache: ReadCache) => number];

const missed = ({ stats }: ReadCache): number =>
  Object.values(stats.misses).reduce((sum, count) => sum + count, 0);

const INCUMBENT: readonly Reading[] = [
  ['etcd_grpc_proxy_cache_hits_total', 'Total number of cache hits', ({ stats }) => stats.hits],
  ['etcd_grpc_proxy_cache_misses_total', 'Total number of cache misses', missed],
  ['etcd_grpc_proxy_cache_keys_total', 'Total number of keys/ranges cached', (cache) => cache.entries],
];

const GAUGES: readonly Reading[] = [
  ['etcd_proxy_cache_entries', 'Remembered answers.', (cache) => cache.entries],
  ['etcd_proxy_cache_bytes', 'Memory held by remembered answers.', (cache) => cache.bytes],
  ['etcd_proxy_cache_ranges', 'Ranges whose answers are kept true by a watch.', (cache) => cache.covers],
  ['etcd_proxy_cache_feeds', 'Watches on etcd that only the cache needs.', (cache) => cache.feeds],
];

const COUNTERS: readonly Reading[] = [
  ['etcd_proxy_cache_hits_total', 'Serializable reads answered from memory.', ({ stats }) => stats.hits],
  ['etcd_proxy_cache_fills_total', 'Answers of etcd that were remembered.', ({ stats }) => stats.fills],
  [
    'etcd_proxy_cache_stamps_total',
    'Remembered answers given with a later revision in their header, nothing having changed.',
    ({ stats }) => stats.stamps,
  ],
  [
    'etcd_proxy_cache_changed_total',
    'Remembered answers dropped because their range changed.',
    ({ stats }) => stats.changed,
  ],
  [
    'etcd_proxy_cache_evicted_total',
    'Remembered answers dropped to make room for others.',
    ({ stats }) => stats.evicted,
  ],
  [
    'etcd_proxy_cache_cleared_total',
    'Times that nothing remembered counted any more: users or roles changed, or the cluster.',
    ({ stats }) => stats.cleared,
  ],
];

/** Exposes the cache, if there is one. */
export function exposeCache(registry: Registry, cache: ReadCache | undefined): void {
  for (const [name, help, value] of INCUMBENT)
    exposeGauge(registry, name, help, () => (cache === undefined ? 0 : value(cache)));
  if (cache === undefined) return;
  for (const [name, help, value] of GAUGES) exposeGauge(registry, name, help, () => value(cache));
  for (const [name, help, value] of COUNTERS) exposeCounter(registry, name, help, () => value(cache));
  const { misses, limits } = cache.stats;
  const missesHelp = 'Serializable reads that were forwarded, by the reason.';
  exposeCounts(registry, 'etcd_proxy_cache_misses_total', missesHelp, 'reason', () => Object.entries(misses));
  const limitsHelp = 'Reads that were not remembered because a bound was reached, by the bound.';
  exposeCounts(registry, 'etcd_proxy_cache_limits_total', limitsHelp, 'limit', () => [
    ...Object.entries(limits),
    ['readers', cache.forgottenReaders],
  ]);
}
