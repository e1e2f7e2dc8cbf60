/**
 * What the watch hub does: how many watchers share how few feeds, and what lies in their histories. The hub counts in
 * plain numbers; they become series when somebody scrapes.
 */
import type { Registry } from '@prometheus-io/client';
import type { WatchHub } from '../coalesce/watch/hub.ts';
import { exposeCounter, exposeGauge } from './readings.ts';

type Reading = readonly [name: string, help: string, value: (hub: WatchHub) => number];

const GAUGES: readonly Reading[] = [
  ['etcd_proxy_watch_watchers', 'Watches of clients now open.', ({ stats }) => stats.watchers],
  ['etcd_proxy_watch_feeds', 'Watches on etcd that serve watches of clients.', ({ stats }) => stats.feeds],
  [
    'etcd_proxy_watch_catch_ups',
    'Watches on etcd that bring watchers up to the history of another.',
    ({ stats }) => stats.catchUps,
  ],
  [
    'etcd_proxy_watch_lagging_watchers',
    'Watches whose clients have not read what happened.',
    ({ stats }) => stats.lagging,
  ],
  [
    'etcd_proxy_watch_history_bytes',
    'Memory held by events that watchers may still need.',
    ({ budget }) => budget.bytes,
  ],
  [
    'etcd_proxy_watch_applied_revision',
    'The highest revision up to which a feed has seen everything.',
    (hub) => applied(hub),
  ],
  [
    'etcd_proxy_watch_applied_lag',
    'Revisions between the newest one known and the one up to which the slowest feed has seen everything; silent ranges lag.',
    (hub) => lag(hub),
  ],
  [
    'etcd_grpc_proxy_watchers_coalescing_total',
    'Total number of current watchers coalescing',
    ({ stats }) => Math.max(0, stats.watchers - stats.feeds),
  ],
];

const COUNTERS: readonly Reading[] = [
  ['etcd_proxy_watch_events_in_total', 'Events received from etcd.', ({ stats }) => stats.events],
  [
    'etcd_proxy_watch_events_repeated_total',
    'Events received from etcd a second time, and dropped.',
    ({ stats }) => stats.repeated,
  ],
  [
    'etcd_proxy_watch_deliveries_total',
    'Responses with events sent to clients.',
    ({ stats }) => stats.deliveries,
  ],
  ['etcd_proxy_watch_bytes_out_total', 'Bytes of events sent to clients.', ({ stats }) => stats.bytes],
  [
    'etcd_proxy_watch_bytes_shared_total',
    'Bytes of events sent to clients without being copied for them.',
    ({ stats }) => stats.sharedBytes,
  ],
  [
    'etcd_proxy_watch_resumes_total',
    'Watches on etcd opened again after their stream was lost.',
    ({ stats }) => stats.resumes,
  ],
  [
    'etcd_proxy_watch_evicted_total',
    'Client streams ended because they were read too slowly.',
    ({ stats }) => stats.evicted,
  ],
  [
    'etcd_grpc_proxy_events_coalescing_total',
    'Total number of events coalescing',
    ({ stats }) => stats.shared,
  ],
];

/** Exposes the hub. */
export function exposeWatches(registry: Registry, hub: WatchHub): void {
  for (const [name, help, value] of GAUGES) exposeGauge(registry, name, help, () => value(hub));
  for (const [name, help, value] of COUNTERS) exposeCounter(registry, name, help, () => value(hub));
}

function applied(hub: WatchHub): number {
  let highest = 0;
  for (const feed of hub.feeds()) highest = Math.max(highest, feed.applied);
  return highest;
}

function lag(hub: WatchHub): number {
  let lowest = Number.POSITIVE_INFINITY;
  for (const feed of hub.feeds()) if (feed.state === 'live') lowest = Math.min(lowest, feed.applied);
  return Number.isFinite(lowest) ? Math.max(0, applied(hub) - lowest) : 0;
}
