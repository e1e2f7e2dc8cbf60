/**
 * The proxies that are registered below a prefix. They are held in memory as any prefix is, which follows each change
 * without a gap; while it cannot be read, the last ones known stay.
 */
import type { KeyRange } from '../etcd/key-range.ts';
import { Mirror, type MirrorOptions } from '../mirror/mirror.ts';
import { MirrorStats } from '../mirror/stats.ts';
import type { Store } from '../mvcc/store.ts';
import type { Version } from '../mvcc/version.ts';
import { Walk } from '../mvcc/walk.ts';
import { Work } from '../mvcc/work.ts';
import { type RegisteredProxy, readEntry } from './proxy-entry.ts';
import type { MembersStats } from './stats.ts';

/** Memory for all entries: some ten thousand. With more of them there is no list, and the last one that was known stays. Bytes. */
export const MAX_PROXIES_BYTES: number = 4 << 20;

/** Nobody asks for the past. */
const HISTORY_REVISIONS = 1;

/** Hears what operators should know. */
export interface ProxiesObserver {
  /** They cannot be read; tried again after so many milliseconds. */
  onUnreadable(reason: string, retryMs: number): void;
  /** The value that was put at this revision is no proxy's: it is left out. */
  onSkipped(revision: number): void;
}

/** How etcd is asked. */
export type ProxiesEtcd = Pick<MirrorOptions, 'read' | 'feeds' | 'hasUser' | 'onSetBack'>;

export class RegisteredProxies {
  readonly #mirror: Mirror;
  readonly #stats: MembersStats;
  readonly #observer: ProxiesObserver;
  /** `undefined`: no proxy's. */
  readonly #read = new WeakMap<Version, { readonly entry: RegisteredProxy | undefined }>();
  #last: readonly RegisteredProxy[] = [];
  /** What it is the list of. */
  #of: { readonly serial: number; readonly applied: number } | undefined;

  constructor(range: KeyRange, etcd: ProxiesEtcd, stats: MembersStats, observer: ProxiesObserver) {
    this.#stats = stats;
    this.#observer = observer;
    this.#mirror = new Mirror(range, {
      ...etcd,
      bytes: MAX_PROXIES_BYTES,
      historyRevisions: HISTORY_REVISIONS,
      stats: new MirrorStats(),
      log: {
        onLoaded: () => {},
        onFailed(_range, _state, reason, retryMs) {
          stats.unreadable++;
          observer.onUnreadable(reason, retryMs);
        },
      },
    });
  }

  /** All of them, in the order of their keys. */
  get all(): readonly RegisteredProxy[] {
    const { store } = this.#mirror;
    if (store === undefined || (this.#of?.serial === store.serial && this.#of.applied === store.applied))
      return this.#last;
    const { serial, applied } = store;
    this.#of = { serial, applied };
    this.#last = versionsIn(store, this.#mirror.range).flatMap((version) => this.#entryOf(version) ?? []);
    return this.#last;
  }

  /** Starts to follow them. */
  start(): void {
    this.#mirror.start();
  }

  close(): void {
    this.#mirror.close();
  }

  #entryOf(version: Version): RegisteredProxy | undefined {
    let read = this.#read.get(version);
    if (read === undefined) {
      read = { entry: readEntry(version.value) };
      this.#read.set(version, read);
      if (read.entry === undefined) {
        this.#stats.skipped++;
        this.#observer.onSkipped(version.modRevision);
      }
    }
    return read.entry;
  }
}

function versionsIn(store: Store, { start, end }: KeyRange): readonly Version[] {
  const all = new Walk(start, end, store.applied, Number.POSITIVE_INFINITY);
  // So few that they need no turns.
  store.collect(all, new Work(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY));
  return all.found;
}
