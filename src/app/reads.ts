/**
 * Builds what knows the answers to reads, as the configuration wants it:
 *
 *   client ─▶ mirrored prefixes ─▶ validated cache ─▶ shared calls ─▶ etcd
 */
import type { Registry } from '@prometheus-io/client';
import { ReadCache } from '../cache/read-cache.ts';
import { authenticate } from '../clients/authenticate.ts';
import { Login } from '../clients/login.ts';
import { SeenRevision } from '../clients/seen-revision.ts';
import { SeenUpstream } from '../clients/seen-upstream.ts';
import { type Config, UsageError } from '../config/config.ts';
import { readUserFile } from '../config/user-file.ts';
import { KV } from '../etcd/methods.ts';
import { readRangeQuery } from '../etcd/range-query.ts';
import { readTxnQuery } from '../etcd/txn-query.ts';
import { MirroredReads } from '../mirror/mirrored-reads.ts';
import { Mirrors } from '../mirror/mirrors.ts';
import { exposeCache } from '../observe/cache-metrics.ts';
import type { Logger } from '../observe/log.ts';
import { exposeMirrors, mirrorLog } from '../observe/mirror-metrics.ts';
import { ReadMetrics } from '../observe/read-metrics.ts';
import { exposeCounts } from '../observe/readings.ts';
import type { Upstream } from '../rpc/contract.ts';
import type { ReadLayer } from '../rpc/read-layer.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { authService } from '../services/auth.ts';
import { kvService, type Layer } from '../services/kv.ts';
import type { OwnMethod } from '../services/table.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { WatchHub } from '../watch/hub.ts';

interface Parts {
  readonly config: Config;
  readonly registry: Registry;
  readonly log: Logger;
  readonly cluster: Upstream & Pick<Cluster, 'askElsewhere'>;
  readonly hub: WatchHub;
}

/** What the rest of the proxy needs of it. */
export interface Reads {
  /** The handlers of reads, and of what ends permissions to read. */
  readonly own: readonly OwnMethod[];
  /** The way to etcd for everything that goes straight back to clients. */
  readonly upstream: Upstream;
  /** Hears what clients are told otherwise. */
  readonly seen: SeenRevision;
  readonly mirrors: Mirrors;
}

/** Builds them. */
export function buildReads({ config, registry, log, cluster, hub }: Parts): Reads {
  const layers: Layer[] = [];
  const seen = new SeenRevision();
  let cache: ReadCache | undefined;
  if (config.get('switch', 'cache')) {
    const maxBytes = config.get('bytes', 'cache-bytes');
    const maxFeeds = config.get('integer', 'cache-max-feeds');
    layers.push((below) => {
      cache = new ReadCache(below, { hub, seen, maxBytes, maxFeeds });
      return cache;
    });
  }
  const mirrors = new Mirrors({
    prefixes: config.get('list', 'cache-prefix'),
    bytes: config.get('bytes', 'cache-prefix-bytes'),
    historyRevisions: config.get('integer', 'watch-history-revisions'),
    hub,
    seen,
    login: loginOf(config, cluster),
    log: mirrorLog(log),
  });
  const waitMs = config.get('duration', 'cache-wait');
  const fallBacks = { waitMs, max: config.get('integer', 'cache-max-fallbacks') };
  const mirroring = { mirrors, probes: mirrors.probes, seen, fallBacks };
  if (mirrors.all.length > 0) {
    layers.push((below) => new MirroredReads(below, { ...mirroring, parse: readRangeQuery }));
    exposeMirrors(registry, mirrors, seen);
  }
  const upstream = new SeenUpstream(cluster, seen, {
    reads: (request, { path }) =>
      path === KV.Range.path || (path === KV.Txn.path && readTxnQuery(request) !== undefined),
    strict: config.get('boolean', 'experimental-serializable-ordering'),
    elsewhere: (request, call, accepts) => cluster.askElsewhere(request, call, accepts),
  });
  exposeCounts(
    registry,
    'etcd_proxy_serializable_reads_behind_total',
    'Answers older than what clients had been told, after the endpoint had changed, by what came of them.',
    'outcome',
    () => Object.entries(upstream.behind),
  );
  const own = kvService({
    upstream,
    coalescing: config.get('switch', 'read-coalescing'),
    maxFlights: config.get('integer', 'max-read-flights'),
    observer: new ReadMetrics(registry),
    layers,
  });
  if (mirrors.all.length > 0) {
    const below: ReadLayer = { read: (request, call) => upstream.unary(request, call) };
    const txns = new MirroredReads(below, { ...mirroring, parse: readTxnQuery });
    own.push({ method: KV.Txn, unary: (request, call) => txns.read(request, call) });
  }
  exposeCache(registry, cache);
  if (layers.length > 0) {
    const changed = (): void => {
      cache?.withdrawPermissions();
      mirrors.probes.forget();
    };
    own.push(...authService(upstream, changed));
  }
  return { own, upstream, seen, mirrors };
}

/** The proxy's own user. Its file is read for every token, so that the password can be changed. */
function loginOf(config: Config, cluster: Upstream): Login {
  const path = config.get('string', 'cache-prefix-user-file');
  if (path === '') return new Login(undefined);
  return new Login(async () => {
    try {
      return await authenticate(cluster, readUserFile(path));
    } catch (error) {
      if (error instanceof UsageError) throw new RpcError(Code.UNAUTHENTICATED, error.message);
      throw error;
    }
  });
}
