/** What mirrors count, as plain numbers; the metrics read them at each scrape. */

/** Why a read inside a mirrored prefix went to etcd. */
export type FallBack =
  /** The mirror is loading, or cannot be had. */
  | 'loading'
  /** The mirror did not come as far as the read needs in time, or etcd's permission was too old when it came. */
  | 'timeout'
  /** The mirror is behind, and this etcd's progress responses do not say how far. */
  | 'progress'
  /** The mirror's watch has not caught up after it was lost. */
  | 'resuming'
  /** etcd refuses the client, and shall say so itself. */
  | 'refused'
  /** A transaction of a client with a token: etcd has to check each of its ranges. */
  | 'token'
  /** etcd could not be asked for its revision. */
  | 'failed'
  /** The revision asked for is none that the mirror knows, or it may be compacted. */
  | 'revision'
  /** The store of etcd is another one, or went back. */
  | 'replaced'
  /** Only etcd knows how it sorts keys that are equal. */
  | 'unstable'
  /** Releases of etcd answer this differently. */
  | 'release'
  /** The request is too long to be kept, or the answer too large to be put together here. */
  | 'large'
  /** Too many keys would have to be looked at for it. */
  | 'work'
  /** Too many reads that take long are waiting already. */
  | 'line';

export class MirrorStats {
  /** Reads answered. */
  hits = 0;
  /** Of these, the ones that waited for nothing. */
  immediate = 0;
  /** Reads of etcd's revision, each for all reads that waited. */
  probes = 0;
  /** Reads that waited until the mirror had come far enough. */
  waits = 0;
  /** Snapshots loaded. */
  loads = 0;
  /** Snapshots that failed. */
  failedLoads = 0;
  /** Reads that had to wait because too many fell back at once. */
  queued = 0;
  /** Reads refused because of that. */
  refused = 0;
  /** Reads forwarded, by the reason. */
  readonly fallBacks = new Map<FallBack, number>();

  countFallBack(reason: FallBack): void {
    this.fallBacks.set(reason, (this.fallBacks.get(reason) ?? 0) + 1);
  }
}
