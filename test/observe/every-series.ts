/**
 * The table of all series of the proxy: what happens, and exactly what changes on the page by it. Two fields that are
 * swapped, or a number that is not shown, cannot pass.
 */
import type { Registry } from '@prometheus-io/client';
import type { ReadCache } from '../../src/cache/read-cache.ts';
import { CacheStats } from '../../src/cache/stats.ts';
import { SeenRevision } from '../../src/clients/seen-revision.ts';
import { LeaseStats } from '../../src/lease/stats.ts';
import { MembersStats } from '../../src/members/stats.ts';
import type { Mirrors } from '../../src/mirror/mirrors.ts';
import { MirrorStats } from '../../src/mirror/stats.ts';
import { IsolationStats } from '../../src/namespace/isolation-stats.ts';
import { NamespaceStats } from '../../src/namespace/stats.ts';
import { parseEndpoint } from '../../src/net/endpoint.ts';
import { exposeCache } from '../../src/observe/cache-metrics.ts';
import { CallRecords } from '../../src/observe/call-records.ts';
import { EndpointRecords } from '../../src/observe/endpoint-records.ts';
import { Faults } from '../../src/observe/faults.ts';
import { exposeLeases } from '../../src/observe/lease-metrics.ts';
import { createLogger } from '../../src/observe/log.ts';
import { LoginRecords } from '../../src/observe/login-records.ts';
import { exposeMembers } from '../../src/observe/member-records.ts';
import { PageMetrics } from '../../src/observe/metrics-pages.ts';
import { exposeMirrors } from '../../src/observe/mirror-records.ts';
import { exposeNamespaces } from '../../src/observe/namespace-metrics.ts';
import { NamespaceRecords } from '../../src/observe/namespace-records.ts';
import { ProxyRecords } from '../../src/observe/proxy-records.ts';
import { ReadMetrics } from '../../src/observe/read-metrics.ts';
import { exposeRequestMemory } from '../../src/observe/request-metrics.ts';
import { Sink } from '../../src/observe/sink.ts';
import { TlsRecords } from '../../src/observe/tls-records.ts';
import { UpstreamRecords } from '../../src/observe/upstream-records.ts';
import { V2Metrics } from '../../src/observe/v2-metrics.ts';
import { exposeWatches } from '../../src/observe/watch-metrics.ts';
import { ITSELF } from '../../src/rpc/client.ts';
import { Ledger } from '../../src/rpc/ledger.ts';
import { RpcError } from '../../src/rpc/status.ts';
import type { WatchHub } from '../../src/watch/hub.ts';
import { PermitStats } from '../../src/watch/sharing/permits.ts';
import { WatchStats } from '../../src/watch/stats.ts';
import { methodAt } from '../support/methods.ts';

/** What happens, and by how much each series is another afterwards. */
export type Row = readonly [act: () => void, changes: Readonly<Record<string, number>>];

/** Exposes a part of the proxy, and gives the rows of its series. */
export type Part = (registry: Registry) => readonly Row[];

/** The log, of which nobody reads the lines. */
const logger = createLogger('info', { write: () => {} });
const quiet = { logger, faults: new Faults(logger), sink: new Sink(2) };
const range = methodAt('/etcdserverpb.KV/Range');
const call = { method: range, client: ITSELF };

/** A number grows, and its series with it. */
function grows<T extends object>(
  numbers: T,
  series: Readonly<Partial<Record<keyof T, string | string[]>>>,
): Row[] {
  const counted = numbers as Record<keyof T, number>;
  return (Object.keys(series) as (keyof T)[]).map((name, i) => {
    const by = i + 2;
    const names = [series[name] as string | string[]].flat();
    return [
      () => Object.assign(numbers, { [name]: counted[name] + by }),
      Object.fromEntries(names.map((each) => [each, by])),
    ];
  });
}

const calls: Part = (registry) => {
  const metrics = new CallRecords(registry, [range], quiet);
  const method = 'grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Range"';
  return [
    [() => metrics.onStarted(call), { [`grpc_server_started_total{${method}}`]: 1 }],
    [() => metrics.onReceived(call), { [`grpc_server_msg_received_total{${method}}`]: 1 }],
    [() => metrics.onSent(call), { [`grpc_server_msg_sent_total{${method}}`]: 1 }],
    [() => metrics.onHandled(call, 0), { [`grpc_server_handled_total{${method},grpc_code="OK"}`]: 1 }],
    [() => metrics.onMalformedReply(call), { etcd_proxy_malformed_replies_total: 1 }],
  ];
};

const endpoints: Part = (registry) => {
  const metrics = new EndpointRecords(registry, quiet);
  const some = [parseEndpoint('a:1'), parseEndpoint('b:1')];
  const looks = (source: string, result: string) =>
    `etcd_proxy_endpoints_refreshes_total{source="${source}",result="${result}"}`;
  return [
    [() => metrics.onUsed(some, true), { etcd_proxy_endpoints: 2 }],
    [
      () => metrics.onFound('x', some, true),
      { 'etcd_proxy_endpoints_known{source="x"}': 2, [looks('x', 'ok')]: 1 },
    ],
    [() => metrics.onFailed('x', 'late'), { [looks('x', 'failed')]: 1 }],
    [() => metrics.onWaiting('y', 1, 3), { [looks('y', 'ok')]: 1 }],
    [() => metrics.onLeftOut(3, 'many'), { etcd_proxy_endpoints_left_out_total: 3 }],
    [() => metrics.onNotKept('full'), { etcd_proxy_endpoints_not_kept_total: 1 }],
  ];
};

const upstream: Part = (registry) => {
  const metrics = new UpstreamRecords(registry, quiet);
  const etcd = parseEndpoint('a:1');
  const duration = 'etcd_proxy_upstream_request_duration_seconds';
  const method = 'grpc_service="etcdserverpb.KV",grpc_method="Range"';
  const answered = {
    [`${duration}_bucket{le="8.192",${method}}`]: 1,
    [`${duration}_bucket{le="+Inf",${method}}`]: 1,
    [`${duration}_sum{${method}}`]: 8,
    [`${duration}_count{${method}}`]: 1,
  };
  const failed = { 'etcd_proxy_upstream_errors_total{grpc_code="NotFound"}': 1 };
  const open = (by: number) => ({ etcd_proxy_upstream_connections: by });
  return [
    [() => metrics.onAnswered(range, 0, 8000), answered],
    [() => metrics.onAnswered(range, 5, 8000), { ...answered, ...failed }],
    [() => metrics.onRetried(), { etcd_proxy_upstream_retries_total: 1 }],
    [() => metrics.onConnected(etcd), { etcd_proxy_upstream_connects_total: 1, ...open(1) }],
    [() => metrics.onLost(etcd, 'reset'), { etcd_proxy_upstream_connections_lost_total: 1, ...open(-1) }],
    [() => metrics.onConnected(etcd), { etcd_proxy_upstream_connects_total: 1, ...open(1) }],
    [() => metrics.onClosed(), open(-1)],
    [
      () => metrics.onSwitched(etcd, etcd, 'removed'),
      { 'etcd_proxy_upstream_switches_total{reason="removed"}': 1 },
    ],
    [() => metrics.onAsked('stay'), { 'etcd_proxy_upstream_surveys_total{verdict="stay"}': 1 }],
    [() => metrics.onDialFailed('refused', false), { etcd_proxy_upstream_dial_failures_total: 1 }],
    [
      () => metrics.onDialFailed('leads back', true),
      { etcd_proxy_upstream_dial_failures_total: 1, etcd_proxy_upstream_circles_total: 1 },
    ],
    [() => metrics.onWaitingFull(), { etcd_proxy_upstream_waiting_rejected_total: 1 }],
    [() => metrics.onNoStream('locks'), { 'etcd_proxy_upstream_no_stream_total{traffic="locks"}': 1 }],
    [() => metrics.onLimit('x'), { 'etcd_proxy_upstream_http2_limits_total{limit="x"}': 1 }],
  ];
};

const doors: Part = (registry) => {
  const metrics = new ProxyRecords(registry, quiet);
  const tls = new TlsRecords(registry, quiet.logger);
  const login = new LoginRecords(registry, quiet.logger);
  const expires = new Date(4_000_000_000_000);
  const failure = { reason: 'timeout', detail: '' } as const;
  return [
    [() => metrics.onHttp2Opened(), { etcd_proxy_http2_connections: 1 }],
    [() => metrics.onHttp2Closed(), { etcd_proxy_http2_connections: -1 }],
    [() => metrics.onSilentConnection(), { etcd_proxy_silent_connections_total: 1 }],
    [() => metrics.onHttp1Limit('x', ITSELF), { 'etcd_proxy_http1_limits_total{limit="x"}': 1 }],
    [() => metrics.onHttp2Limit('x', ITSELF), { 'etcd_proxy_http2_limits_total{limit="x"}': 1 }],
    [() => metrics.onFault(new Error('x'), ITSELF), { etcd_proxy_faults_total: 1 }],
    ...grows(quiet.sink as { lost: number }, { lost: 'etcd_proxy_log_lines_lost_total' }),
    ...(['own', 'client'] as const).flatMap((user): Row[] => {
      const observer = user === 'own' ? login.own : login.clients;
      const series = (result: string) => `etcd_proxy_sign_ins_total{user="${user}",result="${result}"}`;
      return [
        [() => observer.onSignedIn(), { [series('ok')]: 1 }],
        [() => observer.onFailed(new RpcError(2, 'x')), { [series('failed')]: 1 }],
      ];
    }),
    [() => tls.onHandshakeDone(), { etcd_proxy_tls_handshakes_total: 1 }],
    [
      () => tls.onHandshakeFailed(failure, 'client'),
      { 'etcd_proxy_tls_handshakes_failed_total{reason="timeout"}': 1 },
    ],
    [() => tls.onWrongTransport('tls'), { 'etcd_proxy_wrong_transport_total{spoken="tls"}': 1 }],
    [() => tls.onReloaded('client'), { 'etcd_proxy_tls_reloads_total{side="client",result="ok"}': 1 }],
    [
      () => tls.onReloadFailed('client', ''),
      { 'etcd_proxy_tls_reloads_total{side="client",result="failed"}': 1 },
    ],
    [
      () => tls.onLoaded('client', expires),
      { 'etcd_proxy_tls_certificate_expiry_timestamp_seconds{side="client"}': 4e9 },
    ],
  ];
};

const v2: Part = (registry) => {
  const metrics = new V2Metrics(registry);
  const duration = 'etcd_proxy_handling_duration_seconds';
  const handled = {
    'etcd_proxy_handled_total{method="GET",code="200"}': 1,
    [`${duration}_bucket{le="2.048",method="GET"}`]: 1,
    [`${duration}_bucket{le="+Inf",method="GET"}`]: 1,
    [`${duration}_sum{method="GET"}`]: 2,
    [`${duration}_count{method="GET"}`]: 1,
  };
  const dropped = 'etcd_proxy_dropped_total{method="GET",proxying_error="zero_endpoints"}';
  return [
    [() => metrics.onRequest('GET'), { 'etcd_proxy_requests_total{method="GET"}': 1 }],
    [() => metrics.onHandled('GET', 200, 2), handled],
    [() => metrics.onDropped('GET', 'zero_endpoints'), { [dropped]: 1 }],
  ];
};

const reads: Part = (registry) => {
  const metrics = new ReadMetrics(registry);
  const pages = new PageMetrics(registry);
  const ledger = new Ledger(1 << 20);
  exposeRequestMemory(registry, ledger);
  const limit = 'etcd_proxy_request_bytes_limit_total';
  return [
    [() => metrics.onSent(), { etcd_proxy_read_flights_total: 1, etcd_proxy_read_flights: 1 }],
    [() => metrics.onEnded(), { etcd_proxy_read_flights: -1 }],
    [() => metrics.onJoined(), { etcd_proxy_read_joins_total: 1 }],
    [() => metrics.onRefused('members'), { 'etcd_proxy_read_limits_total{limit="members"}': 1 }],
    [() => pages.onFetched('ok'), { 'etcd_proxy_etcd_pages_total{result="ok"}': 1 }],
    ...grows(ledger, {
      held: 'etcd_proxy_request_bytes_in_flight',
      heldBack: `${limit}{reaction="held_back"}`,
      refused: `${limit}{reaction="refused"}`,
    }),
  ];
};

const watches: Part = (registry) => {
  const stats = new WatchStats();
  const feed = { applied: 0, header: { revision: 0 }, used: true, behind: false, cursors: new Set([1]) };
  const permits = { stats: new PermitStats(), size: 0 };
  const users = { forgotten: 0, bytes: 0 };
  const numbers = {
    ...{ budget: { bytes: 0 }, longKeys: { bytes: 0 }, ranges: { forgotten: 0 } },
    ...{ permits, users },
  };
  const seen = new SeenRevision();
  exposeWatches(registry, { stats, shared: numbers, feeds: () => [feed] } as unknown as WatchHub, seen);
  return [
    ...grows(stats, {
      watchers: 'etcd_proxy_watch_watchers',
      feeds: 'etcd_proxy_watch_feeds',
      catchUps: 'etcd_proxy_watch_catch_ups',
      streams: 'etcd_proxy_watch_streams',
      lagging: 'etcd_proxy_watch_lagging_watchers',
      events: 'etcd_proxy_watch_events_in_total',
      repeated: 'etcd_proxy_watch_events_repeated_total',
      deliveries: 'etcd_proxy_watch_deliveries_total',
      shared: 'etcd_grpc_proxy_events_coalescing_total',
      bytes: 'etcd_proxy_watch_bytes_out_total',
      sharedBytes: 'etcd_proxy_watch_bytes_shared_total',
      resumes: 'etcd_proxy_watch_resumes_total',
      evicted: 'etcd_proxy_watch_evicted_total',
      moves: 'etcd_proxy_watch_moves_total',
      faults: 'etcd_proxy_watch_faults_total',
    }),
    ...grows(stats.limits, {
      waiting: 'etcd_proxy_watch_limits_total{limit="waiting"}',
      fields: 'etcd_proxy_watch_limits_total{limit="fields"}',
      fragments: 'etcd_proxy_watch_limits_total{limit="fragments"}',
      lingering: 'etcd_proxy_watch_limits_total{limit="lingering"}',
      long_keys: 'etcd_proxy_watch_limits_total{limit="long_keys"}',
      missed: 'etcd_proxy_watch_limits_total{limit="missed"}',
      moves: 'etcd_proxy_watch_limits_total{limit="moves"}',
      relays: 'etcd_proxy_watch_limits_total{limit="relays"}',
      response_bytes: 'etcd_proxy_watch_limits_total{limit="response_bytes"}',
    }),
    ...grows(numbers.ranges, { forgotten: 'etcd_proxy_watch_limits_total{limit="ranges"}' }),
    ...grows(users, {
      forgotten: 'etcd_proxy_watch_limits_total{limit="tokens"}',
      bytes: 'etcd_proxy_watch_token_bytes',
    }),
    ...grows(permits, { size: 'etcd_proxy_watch_permits' }),
    ...grows(permits.stats.confirmations, {
      allowed: 'etcd_proxy_watch_confirmations_total{answer="allowed"}',
      denied: 'etcd_proxy_watch_confirmations_total{answer="denied"}',
      token: 'etcd_proxy_watch_confirmations_total{answer="token"}',
      failed: 'etcd_proxy_watch_confirmations_total{answer="failed"}',
    }),
    ...grows(permits.stats.ended, {
      denied: 'etcd_proxy_watch_refusals_total{reason="denied"}',
      token: 'etcd_proxy_watch_refusals_total{reason="token"}',
    }),
    ...grows(numbers.budget, { bytes: 'etcd_proxy_watch_history_bytes' }),
    ...grows(numbers.longKeys, { bytes: 'etcd_proxy_watch_long_key_bytes' }),
    ...grows(feed, { applied: 'etcd_proxy_watch_applied_revision' }),
    [() => void feed.cursors.add(2), { etcd_grpc_proxy_watchers_coalescing_total: 1 }],
    [
      () => Object.assign(feed, { behind: true, header: { revision: 9 } }),
      { etcd_proxy_watch_applied_lag: 7 },
    ],
  ];
};

const leases: Part = (registry) => {
  const stats = new LeaseStats();
  exposeLeases(registry, stats);
  const apart = (reason: string) => `etcd_proxy_lease_apart_total{reason="${reason}"}`;
  const limits = (limit: string) => `etcd_proxy_lease_limits_total{limit="${limit}"}`;
  return [
    ...grows(stats, {
      clientStreams: 'etcd_proxy_lease_client_streams',
      streams: 'etcd_proxy_lease_streams',
      heartbeats: 'etcd_proxy_lease_heartbeats_total',
      joined: 'etcd_proxy_lease_heartbeats_joined_total',
      resent: 'etcd_proxy_lease_heartbeats_resent_total',
      refused: 'etcd_proxy_lease_heartbeats_refused_total',
    }),
    ...Object.keys(stats.apart).flatMap((name) => grows(stats.apart, { [name]: apart(name) })),
    ...Object.keys(stats.limits).flatMap((name) => grows(stats.limits, { [name]: limits(name) })),
  ];
};

const namespaces: Part = (registry) => {
  const stats = new NamespaceStats();
  exposeNamespaces(registry, stats);
  const shared = (outcome: string) => `etcd_proxy_namespace_shared_replies_total{outcome="${outcome}"}`;
  return grows(stats, {
    translated: shared('translated'),
    found: shared('found'),
    forgotten: shared('forgotten'),
    inTurns: 'etcd_proxy_namespace_messages_in_turns_total',
    unknown: 'etcd_proxy_namespace_unknown_methods_total',
  });
};

const cached: Part = (registry) => {
  const stats = new CacheStats();
  const numbers = { entries: 0, bytes: 0, covers: 0, feeds: 0, forgottenReaders: 0, stats };
  exposeCache(registry, numbers as unknown as ReadCache);
  const misses = (reason: string) => [
    `etcd_proxy_cache_misses_total{reason="${reason}"}`,
    'etcd_grpc_proxy_cache_misses_total',
  ];
  const limits = (limit: string) => `etcd_proxy_cache_limits_total{limit="${limit}"}`;
  return [
    ...grows(numbers, {
      entries: ['etcd_proxy_cache_entries', 'etcd_grpc_proxy_cache_keys_total'],
      bytes: 'etcd_proxy_cache_bytes',
      covers: 'etcd_proxy_cache_ranges',
      feeds: 'etcd_proxy_cache_feeds',
      forgottenReaders: limits('readers'),
    }),
    ...grows(stats, {
      hits: ['etcd_proxy_cache_hits_total', 'etcd_grpc_proxy_cache_hits_total'],
      fills: 'etcd_proxy_cache_fills_total',
      stamps: 'etcd_proxy_cache_stamps_total',
      changed: 'etcd_proxy_cache_changed_total',
      evicted: 'etcd_proxy_cache_evicted_total',
      cleared: 'etcd_proxy_cache_cleared_total',
    }),
    ...Object.keys(stats.misses).flatMap((name) => grows(stats.misses, { [name]: misses(name) })),
    ...Object.keys(stats.limits).flatMap((name) => grows(stats.limits, { [name]: limits(name) })),
  ];
};

const mirrored: Part = (registry) => {
  const stats = new MirrorStats();
  const probes = { forgotten: 0 };
  const store = { keys: 0, bytes: 0, applied: 0 };
  const mirror = { range: { start: '/a/' }, state: 'loading', heard: 0, store };
  const seen = new SeenRevision();
  exposeMirrors(registry, { stats, probes, all: [mirror] } as unknown as Mirrors, seen);
  const state = (name: string) => `etcd_proxy_mirror_state{prefix="/a/",state="${name}"}`;
  return [
    ...grows(stats, {
      hits: 'etcd_proxy_mirror_hits_total',
      immediate: 'etcd_proxy_mirror_hits_immediate_total',
      probes: 'etcd_proxy_mirror_probes_total',
      waits: 'etcd_proxy_mirror_waits_total',
      loads: 'etcd_proxy_mirror_loads_total',
      failedLoads: 'etcd_proxy_mirror_load_failures_total',
      queued: 'etcd_proxy_mirror_fallbacks_queued_total',
      refused: 'etcd_proxy_mirror_fallbacks_refused_total',
    }),
    ...grows(probes, { forgotten: 'etcd_proxy_mirror_probes_forgotten_total' }),
    ...grows(store, {
      keys: 'etcd_proxy_mirror_keys{prefix="/a/"}',
      bytes: 'etcd_proxy_mirror_bytes{prefix="/a/"}',
    }),
    [() => stats.countFallBack('large'), { 'etcd_proxy_mirror_fallbacks_total{reason="large"}': 1 }],
    [() => Object.assign(mirror, { heard: 5 }), { 'etcd_proxy_mirror_lag{prefix="/a/"}': 5 }],
    [() => Object.assign(store, { applied: 2 }), { 'etcd_proxy_mirror_lag{prefix="/a/"}': -2 }],
    [() => Object.assign(mirror, { state: 'serving' }), { [state('loading')]: -1, [state('serving')]: 1 }],
  ];
};

const withinNamespaces: Part = (registry) => {
  const ignore = (): void => {};
  const calls = { onStarted: ignore, onReceived: ignore, onSent: ignore, onHandled: ignore };
  const connections = { onHttp2Opened: ignore, onHttp2Closed: ignore, onHttp2Limit: ignore };
  const others = {
    calls: { ...calls, onMalformedReply: ignore, onFault: ignore },
    connections: { ...connections, onFault: ignore },
  };
  const stats = new IsolationStats();
  const records = new NamespaceRecords(registry, new Map([['a/', stats]]), others);
  const client = { ...ITSELF, namespace: 'a/' };
  const within = { method: range, client };
  const open = (by: number) => ({ 'etcd_proxy_namespace_http2_connections{namespace="a/"}': by });
  const refused = (reason: string) => `etcd_proxy_namespace_refused_total{namespace="a/",reason="${reason}"}`;
  return [
    [() => records.onStarted(within), { 'etcd_proxy_namespace_started_total{namespace="a/"}': 1 }],
    [
      () => records.onHandled(within, 7),
      { 'etcd_proxy_namespace_handled_total{namespace="a/",grpc_code="PermissionDenied"}': 1 },
    ],
    [() => records.onStarted(call), {}],
    [() => records.onHandled(call, 0), {}],
    [() => records.onHttp2Opened(client), open(1)],
    [() => records.onHttp2Opened(ITSELF), {}],
    [() => records.onHttp2Closed(client), open(-1)],
    ...grows(stats, {
      refusedMethods: refused('method'),
      refusedIds: refused('lease_id'),
      hidden: refused('lease'),
      refusedFields: refused('fields'),
    }),
  ];
};

/** All parts that expose something. */
const members: Part = (registry) => {
  const stats = new MembersStats();
  const known = { stats, known: 0 };
  exposeMembers(registry, known);
  const lost = 'etcd_proxy_registration_losses_total';
  return [
    ...grows(stats, {
      registrations: 'etcd_proxy_registrations_total',
      failures: 'etcd_proxy_registration_failures_total',
      unreadable: 'etcd_proxy_registry_unreadable_total',
      skipped: 'etcd_proxy_registry_skipped_total',
    }),
    ...grows(stats.losses, { lease: `${lost}{lost="lease"}`, key: `${lost}{lost="key"}` }),
    ...grows(known, { known: 'etcd_proxy_registered_proxies' }),
    [() => Object.assign(stats, { registered: true }), { etcd_proxy_registered: 1 }],
  ];
};

export const PARTS = {
  calls,
  endpoints,
  upstream,
  doors,
  reads,
  v2,
  watches,
  leases,
  namespaces,
  cached,
  mirrored,
  withinNamespaces,
  members,
} satisfies Record<string, Part>;
