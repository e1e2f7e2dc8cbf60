/** What the cache counts, as plain numbers; the metrics read them at each scrape. */

/** Why a serializable read was forwarded. */
export type Miss =
  /** It was not remembered: read for the first time, or its range has changed since. */
  | 'unknown'
  /** A read at a revision, or one with fields that the cache does not know. */
  | 'unfit'
  /** Clients were told of a later revision than the entry can vouch for. */
  | 'seen'
  /** The feed of its range is lost, or has not caught up. */
  | 'behind'
  /** The client's permission was last checked too long ago. */
  | 'permission';

/** A bound that kept something from being remembered. */
export type CacheLimit = 'feeds' | 'covers' | 'entry_bytes' | 'key_bytes' | 'resting';

export class CacheStats {
  hits = 0;
  readonly misses: Record<Miss, number> = { unknown: 0, unfit: 0, seen: 0, behind: 0, permission: 0 };
  /** Answers remembered. */
  fills = 0;
  /** Answers given with a later revision in their header, since nothing had changed. */
  stamps = 0;
  /** Entries dropped because their range changed. */
  changed = 0;
  /** Entries dropped to make room. */
  evicted = 0;
  /** Times that nothing remembered counted any more: another cluster, or a change of users and roles. */
  cleared = 0;
  readonly limits: Record<CacheLimit, number> = {
    feeds: 0,
    covers: 0,
    entry_bytes: 0,
    key_bytes: 0,
    resting: 0,
  };
}
