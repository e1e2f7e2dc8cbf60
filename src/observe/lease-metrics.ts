/** Heartbeats: how many streams of clients share how few to etcd. Counted in plain numbers, which become series at each scrape. */
import type { Registry } from '@prometheus-io/client';
import type { LeaseStats } from '../lease/stats.ts';
import { exposeCounter, exposeCounts, exposeGauge } from './readings.ts';

type Reading = readonly [name: string, help: string, value: (stats: LeaseStats) => number];

const GAUGES: readonly Reading[] = [
  [
    'etcd_proxy_lease_client_streams',
    'Streams of clients whose heartbeats travel with those of others.',
    ({ clientStreams }) => clientStreams,
  ],
  [
    'etcd_proxy_lease_streams',
    'Streams to etcd that carry heartbeats of many clients.',
    ({ streams }) => streams,
  ],
];

const COUNTERS: readonly Reading[] = [
  ['etcd_proxy_lease_heartbeats_total', 'Heartbeats of clients.', ({ heartbeats }) => heartbeats],
  [
    'etcd_proxy_lease_heartbeats_joined_total',
    'Heartbeats answered with the answer to another one for the same lease.',
    ({ joined }) => joined,
  ],
  [
    'etcd_proxy_lease_heartbeats_resent_total',
    'Heartbeats sent again, because their stream was lost or etcd ended it.',
    ({ resent }) => resent,
  ],
  ['etcd_proxy_lease_heartbeats_refused_total', 'Heartbeats that etcd refused.', ({ refused }) => refused],
];

/** Exposes them. */
export function exposeLeases(registry: Registry, stats: LeaseStats): void {
  for (const [name, help, value] of GAUGES) exposeGauge(registry, name, help, () => value(stats));
  for (const [name, help, value] of COUNTERS) exposeCounter(registry, name, help, () => value(stats));
  const apartHelp = 'Streams of clients that have a stream to etcd of their own, by the reason.';
  exposeCounts(registry, 'etcd_proxy_lease_apart_total', apartHelp, 'reason', () =>
    Object.entries(stats.apart),
  );
  const limitsHelp = 'Times that a bound on heartbeats was reached, by the bound.';
  exposeCounts(registry, 'etcd_proxy_lease_limits_total', limitsHelp, 'limit', () =>
    Object.entries(stats.limits),
  );
}
