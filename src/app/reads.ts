/**
 * The way of reads: layers, each of which answers what it knows and asks the one below for the rest.
 *
 *   client ─▶ MirroredReads ─▶ ReadCache ─▶ Flights ─▶ SeenUpstream ─▶ etcd
 *
 * None of them gives an answer that is older than what clients have been told.
 */
import type { Registry } from '@prometheus-io/client';
import { ReadCache } from '../cache/read-cache.ts';
import type { Login } from '../clients/login.ts';
import { Permissions } from '../clients/permission.ts';
import { SeenRevision } from '../clients/seen-revision.ts';
import { SeenUpstream } from '../clients/seen-upstream.ts';
import type { Config } from '../config/config.ts';
import { KV } from '../etcd/methods.ts';
import { readRangeQuery } from '../etcd/range-query.ts';
import { readTxnQuery } from '../etcd/txn-request.ts';
import { FLIGHT_BOUNDS, Flights } from '../flights/flights.ts';
import { StreamFlights } from '../flights/stream-flights.ts';
import { MirroredReads } from '../mirror/mirrored-reads.ts';
import { Mirrors } from '../mirror/mirrors.ts';
import { exposeCache } from '../observe/cache-metrics.ts';
import type { Logger } from '../observe/log.ts';
import { exposeMirrors, mirrorLog } from '../observe/mirror-records.ts';
import { ReadMetrics } from '../observe/read-metrics.ts';
import { exposeCounts } from '../observe/readings.ts';
import type { StreamHandler, UnaryUpstream, Upstream } from '../rpc/contract.ts';
import { forwardStream } from '../rpc/forward.ts';
import type { ClusterClient } from '../upstream/cluster-client.ts';
import type { WatchHub } from '../watch/hub.ts';

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  readonly log: Logger;
  readonly cluster: Upstream & Pick<ClusterClient, 'askElsewhere'>;
  readonly hub: WatchHub;
  readonly login: Login;
}

/** What the rest of the proxy needs of it. */
export interface Reads {
  /** Answers Range. */
  readonly ranges: UnaryUpstream;
  /** Answers Txn: what only reads from memory where that is possible, everything else from etcd. */
  readonly txns: UnaryUpstream;
  /** Answers RangeStream. */
  readonly rangeStreams: StreamHandler;
  /** The way to etcd for everything else that goes straight back to clients. */
  readonly upstream: Upstream;
  /** Hears what clients are told otherwise. */
  readonly seen: SeenRevision;
  readonly mirrors: Mirrors;
  /** Users, roles or their permissions change: what etcd has allowed so far counts no more. */
  withdrawPermissions(): void;
}

/** Builds the layers, the lowest first. */
export function buildReads(parts: Parts): Reads {
  const { config, registry, hub, cluster } = parts;
  const seen = new SeenRevision();
  const permissions = new Permissions();

  // The way to etcd: whatever clients are told is noted there, so that no layer answers with less.
  const upstream = new SeenUpstream(cluster, seen, {
    reads: (request, { path }) =>
      path === KV.Range.path || (path === KV.Txn.path && readTxnQuery(request) !== undefined),
    strict: config['experimental-serializable-ordering'],
    elsewhere: (request, call, accepts) => cluster.askElsewhere(request, call, accepts),
  });
  let ranges: UnaryUpstream = upstream;
  let rangeStreams = forwardStream(upstream);

  // Reads that ask the same at the same time share a call. The lowest layer, since it remembers no answers.
  const observer = new ReadMetrics(registry);
  if (config['read-coalescing']) {
    const limits = { ...FLIGHT_BOUNDS, maxFlights: config['max-read-flights'] };
    ranges = new Flights(ranges, limits, observer);
    rangeStreams = new StreamFlights({ upstream, forward: rangeStreams, limits, observer }).serve;
  }

  // Answers to serializable reads are remembered. Above the flights, so that many who miss are one call.
  const cache = config.cache
    ? new ReadCache(ranges, {
        hub,
        permissions,
        seen,
        maxBytes: config['cache-bytes'],
        maxFeeds: config['cache-max-feeds'],
      })
    : undefined;
  ranges = cache ?? ranges;

  // Prefixes are held in memory. On top: it knows whole ranges, and so leaves least to those below.
  const mirrors = buildMirrors(parts, seen, permissions);
  let txns: UnaryUpstream = upstream;
  if (mirrors.all.length > 0) {
    const mirroring = { mirrors, probes: mirrors.probes, seen, fallBacks: fallBacksOf(config) };
    ranges = new MirroredReads(ranges, { ...mirroring, parse: readRangeQuery });
    txns = new MirroredReads(txns, { ...mirroring, parse: readTxnQuery });
    exposeMirrors(registry, mirrors, seen);
  }

  exposeBehind(registry, upstream);
  exposeCache(registry, cache);
  return {
    ranges,
    txns,
    rangeStreams,
    upstream,
    seen,
    mirrors,
    withdrawPermissions() {
      permissions.withdraw(performance.now());
      cache?.onWithdrawn();
    },
  };
}

function buildMirrors(
  { config, log, hub, login }: Parts,
  seen: SeenRevision,
  permissions: Permissions,
): Mirrors {
  return new Mirrors({
    prefixes: config['cache-prefix'],
    bytes: config['cache-prefix-bytes'],
    historyRevisions: config['watch-history-revisions'],
    hub,
    permissions,
    seen,
    login,
    log: mirrorLog(log),
  });
}

function fallBacksOf(config: Config) {
  return { waitMs: config['cache-wait'], max: config['cache-max-fallbacks'] };
}

function exposeBehind(registry: Registry, { behind }: SeenUpstream): void {
  exposeCounts(
    registry,
    'etcd_proxy_serializable_reads_behind_total',
    'Answers older than what clients had been told, after the endpoint had changed, by what came of them.',
    'outcome',
    () => Object.entries(behind),
  );
}
