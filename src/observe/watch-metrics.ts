/**
 * What the watch hub does: how many watchers share how few feeds, and what lies in their histories. The hub counts in
 * plain numbers; they become series when somebody scrapes.
 */
import type { Registry } from '@prometheus-io/client';
import type { SeenRevision } from '../clients/seen-revision.ts';
import type { TokenUsers } from '../clients/token-users.ts';
import type { Feed } from '../watch/feed.ts';
import type { WatchHub } from '../watch/hub.ts';
import type { Permits } from '../watch/sharing/permits.ts';
import { exposeCounter, exposeCounts, exposeGauge } from './readings.ts';

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
    'etcd_proxy_watch_streams',
    'Streams to etcd that watches on etcd share, or have to themselves.',
    ({ stats }) => stats.streams,
  ],
  [
    'etcd_proxy_watch_lagging_watchers',
    'Watches whose clients have not read what happened.',
    ({ stats }) => stats.lagging,
  ],
  [
    'etcd_proxy_watch_history_bytes',
    'Memory held by events that watchers may still need.',
    ({ shared }) => shared.budget.bytes,
  ],
  [
    'etcd_proxy_watch_long_key_bytes',
    'Memory held by keys of more than a kilobyte that clients watch or want to.',
    ({ shared }) => shared.longKeys.bytes,
  ],
  [
    'etcd_proxy_watch_applied_revision',
    'The highest revision up to which a feed has seen everything.',
    (hub) => highest(hub, ({ applied }) => applied),
  ],
  ['etcd_grpc_proxy_watchers_coalescing_total', 'Total number of current watchers coalescing', coalescing],
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
    'etcd_proxy_watch_moves_total',
    'Watches on etcd that have moved to another stream while they went on.',
    ({ stats }) => stats.moves,
  ],
  [
    'etcd_proxy_watch_evicted_total',
    'Client streams ended because they were read too slowly.',
    ({ stats }) => stats.evicted,
  ],
  [
    'etcd_proxy_watch_faults_total',
    'Faults of the program with watches, of which client streams were ended.',
    ({ stats }) => stats.faults,
  ],
  [
    'etcd_grpc_proxy_events_coalescing_total',
    'Total number of events coalescing',
    ({ stats }) => stats.shared,
  ],
];

/**
 * Exposes the hub.
 * @param seen the newest revision that clients were told, whatever told them
 */
export function exposeWatches(registry: Registry, hub: WatchHub, seen: SeenRevision): void {
  for (const [name, help, value] of GAUGES) exposeGauge(registry, name, help, () => value(hub));
  exposeGauge(
    registry,
    'etcd_proxy_watch_applied_lag',
    'Revisions that a feed with users may lack while it has no stream, catches up, or is held back by its clients.',
    () => lag(hub, seen.revision),
  );
  for (const [name, help, value] of COUNTERS) exposeCounter(registry, name, help, () => value(hub));
  const limitsHelp = 'Times that a bound on what clients name was reached, by the bound.';
  exposeCounts(registry, 'etcd_proxy_watch_limits_total', limitsHelp, 'limit', () => [
    ...Object.entries(hub.stats.limits),
    ['ranges', hub.shared.ranges.forgotten],
    ['tokens', hub.shared.users.forgotten],
  ]);
  exposePermits(registry, hub.shared.permits, hub.shared.users);
}

/** By whose leave watches are on feeds that are shared by others than who shows the same token. */
function exposePermits(registry: Registry, permits: Permits, users: TokenUsers): void {
  const confirmations = 'Reads that asked etcd whether a client may go on with its watches, by the answer.';
  exposeCounts(registry, 'etcd_proxy_watch_confirmations_total', confirmations, 'answer', () =>
    Object.entries(permits.stats.confirmations),
  );
  const refusals =
    'Watches that were ended since etcd denied permission, or took no token of the client, by which it was.';
  exposeCounts(registry, 'etcd_proxy_watch_refusals_total', refusals, 'reason', () =>
    Object.entries(permits.stats.ended),
  );
  const permitted = 'Users, or tokens of unknown users, and ranges of which watches are on shared feeds.';
  exposeGauge(registry, 'etcd_proxy_watch_permits', permitted, () => permits.size);
  const known = 'Memory held by tokens of which the proxy has seen whose they are.';
  exposeGauge(registry, 'etcd_proxy_watch_token_bytes', known, () => users.bytes);
}

/** Watchers that cost etcd nothing: of each feed all but one. */
function coalescing(hub: WatchHub): number {
  let watchers = 0;
  for (const { cursors } of hub.feeds()) watchers += Math.max(0, cursors.size - 1);
  return watchers;
}

function highest(hub: WatchHub, revision: (feed: Feed) => number): number {
  let most = 0;
  for (const feed of hub.feeds()) most = Math.max(most, revision(feed));
  return most;
}

/** A feed that is live and reads is not behind, however long ago anything happened in its range. */
function lag(hub: WatchHub, told: number): number {
  const newest = Math.max(
    told,
    highest(hub, ({ header }) => header.revision),
  );
  const isBehind = ({ state, catchesUp }: Feed): boolean => state !== 'live' || catchesUp;
  return highest(hub, (feed) => (feed.used && isBehind(feed) ? newest - feed.applied : 0));
}
