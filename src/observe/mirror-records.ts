/** Metrics and log of mirrored prefixes: what they do and hold, and what operators should know of them. */
import { Gauge, type Registry } from '@prometheus-io/client';
import type { SeenRevision } from '../clients/seen-revision.ts';
import type { Mirror, MirrorLog } from '../mirror/mirror.ts';
import type { Mirrors } from '../mirror/mirrors.ts';
import type { MirrorStats } from '../mirror/stats.ts';
import type { Logger } from './log.ts';
import { exposeCounter, exposeCounts } from './readings.ts';

const COUNTERS: readonly (readonly [name: string, help: string, value: (stats: MirrorStats) => number])[] = [
  ['hits', 'Reads answered from memory.', ({ hits }) => hits],
  ['hits_immediate', 'Reads answered from memory that waited for nothing.', ({ immediate }) => immediate],
  ['probes', "Questions for etcd's revision, each for all reads that waited.", ({ probes }) => probes],
  ['waits', 'Reads that waited until the prefix had come as far as they need.', ({ waits }) => waits],
  ['loads', 'Snapshots of prefixes that were loaded.', ({ loads }) => loads],
  ['load_failures', 'Times that a prefix could not be loaded or kept.', ({ failedLoads }) => failedLoads],
  ['fallbacks_queued', 'Reads that waited for others to be forwarded.', ({ queued }) => queued],
  ['fallbacks_refused', 'Reads refused because too many were to be forwarded.', ({ refused }) => refused],
];

const GAUGES: readonly (readonly [
  name: string,
  help: string,
  value: (mirror: Mirror, newest: number) => number,
])[] = [
  ['keys', 'Keys of a prefix held in memory.', ({ store }) => store?.keys ?? 0],
  ['bytes', 'Memory held by a prefix and its history.', ({ store }) => store?.bytes ?? 0],
  [
    'lag',
    'Revisions between the newest one known and the one up to which a prefix has seen everything; quiet prefixes lag.',
    ({ store }, newest) => (store === undefined ? 0 : Math.max(0, newest - store.applied)),
  ],
];

/** Exposes the mirrors. @param seen the newest revision that clients know of */
export function exposeMirrors(registry: Registry, mirrors: Mirrors, seen: SeenRevision): void {
  const registers = [registry];
  const { stats, all } = mirrors;
  for (const [name, help, value] of COUNTERS)
    exposeCounter(registry, `etcd_proxy_mirror_${name}_total`, help, () => value(stats));
  exposeCounter(
    registry,
    'etcd_proxy_mirror_probes_forgotten_total',
    'Permissions to read that were forgotten because the memory for them was full.',
    () => mirrors.probes.forgotten,
  );
  const forwarded = 'Reads inside a prefix held in memory that were forwarded, by the reason.';
  exposeCounts(registry, 'etcd_proxy_mirror_fallbacks_total', forwarded, 'reason', () => stats.fallBacks);
  for (const [name, help, value] of GAUGES)
    new Gauge({
      name: `etcd_proxy_mirror_${name}`,
      help,
      labelNames: ['prefix'] as const,
      registers,
      collect() {
        const newest = all.reduce((highest, { heard }) => Math.max(highest, heard), seen.revision);
        for (const mirror of all) this.set({ prefix: nameOf(mirror.range) }, value(mirror, newest));
      },
    });
  new Gauge({
    name: 'etcd_proxy_mirror_state',
    help: 'What a prefix held in memory does now: loading, serving, over (its bound) or refused.',
    labelNames: ['prefix', 'state'] as const,
    registers,
    collect() {
      this.reset();
      for (const { range, state } of all) this.set({ prefix: nameOf(range), state }, 1);
    },
  });
}

/** Writes the log. */
export function mirrorLog(log: Logger): MirrorLog {
  return {
    onLoaded(range, { keys, bytes, applied }, ms) {
      const loaded = { prefix: nameOf(range), keys, bytes, revision: applied, ms: Math.round(ms) };
      log.info(loaded, 'prefix loaded: its reads are answered from memory');
    },
    onFailed(range, state, reason, retryMs) {
      const failed = { prefix: nameOf(range), state, reason, retryMs: Math.round(retryMs) };
      if (state === 'over')
        log.error(failed, 'prefix larger than --cache-prefix-bytes: memory freed, its reads are forwarded');
      else log.warn(failed, 'prefix not in memory: its reads are forwarded');
    },
  };
}

/** A prefix as its user wrote it. */
function nameOf({ start }: { readonly start: string }): string {
  return Buffer.from(start, 'latin1').toString('utf8');
}
