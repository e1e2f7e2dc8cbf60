/**
 * A mirrored prefix: a snapshot of it, and a feed that keeps the snapshot true. It serves while it has both; otherwise
 * its reads go to etcd.
 *
 *     loading ──snapshot at R──▶ serving ──feed from R + 1──▶ ...
 *        ▲                          │ feed ended, another cluster, store set back
 *        └───── after a while ──────┴──▶ over its bound: memory freed; refused by etcd
 *
 * `applied` moves as the feed's does: by whole revisions that came, and by progress responses that can be trusted.
 */

import type { Read } from '../clients/probe.ts';
import { headerOf, NO_HEADER } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { permissionRequest, revisionRequest } from '../etcd/own-requests.ts';
import { isRefusal } from '../etcd/statuses.ts';
import type { Store } from '../mvcc/store.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import type { Batch } from '../watch/batch.ts';
import type { IdentityFeeds } from '../watch/identity-feeds.ts';
import type { Steps } from '../watch/slices.ts';
import type { FeedSubscriber, Subscription, SubscriptionEnd } from '../watch/subscribers.ts';
import { Arrivals } from './arrivals.ts';
import { takeBatch, takeInSlices } from './batch-intake.ts';
import { type LoadFailure, LoadRetry } from './load-retry.ts';
import { ReplyHeader } from './reply-header.ts';
import { loadSnapshot, OverBound, type Snapshot } from './snapshot.ts';
import type { MirrorStats } from './stats.ts';

const TOO_LARGE = 'its keys take too much memory';
const SET_BACK = 'etcd has an older store now';
const ANOTHER_CLUSTER = 'etcd is another cluster now';

/** `over`: its keys take more memory than they may. `refused`: etcd does not let the proxy read them. */
export type MirrorState = 'serving' | 'closed' | LoadFailure;

/** What a mirror needs. */
export interface MirrorOptions {
  /** Memory for the keys and their history, in bytes. */
  readonly bytes: number;
  /** Revisions of history. */
  readonly historyRevisions: number;
  /** Sends a Range of the proxy's own. */
  readonly read: Read;
  /** The feeds of the user that the proxy is to etcd now; without auth, clients share them. */
  readonly feeds: () => IdentityFeeds;
  /** Whether the proxy can be another user when etcd refuses it a watch: {@link read} sees to that. */
  readonly hasUser: boolean;
  /** Is told that etcd's store has lost all above a revision. */
  readonly onSetBack: (revision: number) => void;
  readonly stats: MirrorStats;
  readonly log: MirrorLog;
}

/** Hears what operators should know. */
export interface MirrorLog {
  onLoaded(range: KeyRange, store: Store, ms: number): void;
  /** It is tried again after so many milliseconds. */
  onFailed(range: KeyRange, state: MirrorState, reason: string, retryMs: number): void;
}

export class Mirror implements FeedSubscriber {
  readonly range: KeyRange;
  state: MirrorState = 'loading';
  /** Reads that wait until a revision has been applied. */
  readonly arrivals: Arrivals;
  readonly #options: MirrorOptions;
  readonly #retry = new LoadRetry();
  #store: Store | undefined;
  #subscription: Subscription | undefined;
  #cluster = '';
  #header = new ReplyHeader(NO_HEADER);
  /** The feed's member has said less than the mirror knows: it lags, or the store was set back. */
  #suspect = false;
  #verifying = false;
  /** Counts loads, so that an abandoned one can tell. */
  #load = 0;
  /** The feed was opened as another user because etcd refused the one before, and has not been live since. */
  #renewed = false;

  constructor(range: KeyRange, options: MirrorOptions) {
    this.range = range;
    this.#options = options;
    this.arrivals = new Arrivals(() => this.#subscription?.feed);
  }

  /** What it knows; `undefined` while it does not serve. */
  get store(): Store | undefined {
    return this.state === 'serving' ? this.#store : undefined;
  }

  /** Whether everything is in that etcd had when the feed's present stream began. */
  get inSync(): boolean {
    const { store } = this;
    if (store === undefined || this.#suspect) return false;
    return store.applied >= (this.#subscription?.feed.syncPoint ?? Number.POSITIVE_INFINITY);
  }

  /** The cluster that it mirrors, as headers of etcd name it. */
  get cluster(): string {
    return this.#cluster;
  }

  /** The newest revision of etcd that its feed has heard of. */
  get heard(): number {
    return this.#subscription?.feed.header.revision ?? 0;
  }

  /** The field `header` of an answer at a revision, latin1. */
  header(revision: number): string {
    return this.#header.at(revision, this.#subscription?.feed.header ?? NO_HEADER);
  }

  /** Starts loading. */
  start(): void {
    void this.#loadNow();
  }

  /** etcd is behind what the mirror knows. Reads go to etcd until it is loaded again, from a feed without that past. */
  distrust(revision: number): void {
    if (this.state !== 'serving') return;
    this.#options.onSetBack(revision);
    this.#subscription?.feed.retire();
    this.#fail('loading', SET_BACK);
  }

  /** Ends it for good. */
  close(): void {
    this.#clear('closed');
    this.#retry.cancel();
  }

  onBatch(batch: Batch): void {
    const store = this.#store;
    if (store !== undefined) takeBatch({ store, range: this.range }, batch);
  }

  *inSlices(batch: Batch): Steps {
    const store = this.#store;
    if (store !== undefined)
      yield* takeInSlices({ store, range: this.range }, batch, () => this.#store === store);
  }

  onMoved(): void {
    const store = this.#store;
    const feed = this.#subscription?.feed;
    if (store === undefined || feed === undefined || this.state !== 'serving') return;
    if (feed.state === 'live') this.#renewed = false;
    const { cluster } = feed.header;
    if (cluster !== this.#cluster && cluster !== '') {
      this.#failSoon('loading', ANOTHER_CLUSTER);
      return;
    }
    if (feed.applied > store.applied) {
      store.applied = feed.applied;
      store.trim(this.#options.bytes);
      if (store.bytes > this.#options.bytes) {
        this.#failSoon('over', TOO_LARGE);
        return;
      }
    }
    const behind = feed.state === 'live' && feed.syncPoint === Number.POSITIVE_INFINITY;
    if (behind || this.#suspect) void this.#verify(store);
    this.arrivals.onMoved(store.applied);
  }

  onEnd(end: SubscriptionEnd): void {
    this.#subscription = undefined;
    if (this.state !== 'serving') return;
    const [state, reason] = endOf(end);
    if (state === 'refused' && this.#options.hasUser && !this.#renewed) void this.#renew(reason);
    else this.#fail(state, reason);
  }

  async #loadNow(): Promise<void> {
    const load = ++this.#load;
    const current = (): boolean => load === this.#load && this.state !== 'closed';
    const { read, bytes, historyRevisions, stats, log } = this.#options;
    const began = performance.now();
    this.state = 'loading';
    try {
      const snapshot = await loadSnapshot(read, this.range, { bytes, historyRevisions }, current);
      if (!current()) return;
      await this.#subscribe(snapshot);
      if (!current()) return;
      if (this.#subscription === undefined) throw new RpcError(Code.UNAVAILABLE, 'the feed ended');
      this.state = 'serving';
      this.onMoved();
      stats.loads++;
      this.#retry.reset();
      log.onLoaded(this.range, snapshot.store, performance.now() - began);
    } catch (error) {
      if (!current()) return;
      if (error instanceof OverBound) this.#fail('over', TOO_LARGE);
      else {
        const failure = RpcError.from(error);
        this.#fail(stateAfter(failure), failure.message);
      }
    }
  }

  /** Joins the snapshot with a feed. One that is further than etcd knows of a store that was set back. */
  async #subscribe({ store, header }: Snapshot): Promise<void> {
    const feeds = this.#options.feeds();
    this.#store = store;
    this.#cluster = header.cluster;
    this.#header = new ReplyHeader(header);
    this.#suspect = false;
    const subscription = feeds.subscribe(this.range, true, store.applied + 1, this);
    this.#subscription = subscription;
    if (subscription === undefined || subscription.feed.applied <= store.applied) return;
    const { applied } = subscription.feed;
    const { revision } = headerOf(await this.#options.read(revisionRequest(this.range)));
    if (revision >= applied && this.#subscription === subscription) return;
    subscription.feed.retire();
    if (revision < applied) this.#options.onSetBack(revision);
    throw new RpcError(Code.UNAVAILABLE, SET_BACK);
  }

  /** etcd took the watch's token no more. If the proxy may still read, it goes on from where the watch ended. */
  async #renew(reason: string): Promise<void> {
    this.#renewed = true;
    const load = this.#load;
    const store = this.#store as Store;
    const { read, feeds } = this.#options;
    try {
      await read(permissionRequest(this.range));
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (load === this.#load) this.#fail(stateAfter(error), `${reason}; ${error.message}`);
      return;
    }
    if (load !== this.#load) return;
    this.#subscription = feeds().subscribe(this.range, true, store.applied + 1, this);
    this.onMoved();
    this.arrivals.onOtherFeed();
  }

  /** Finds out which of the two it is, where a member has said less than the mirror knows. */
  async #verify(store: Store): Promise<void> {
    this.#suspect = true;
    if (this.#verifying) return;
    this.#verifying = true;
    const { applied } = store;
    try {
      const { revision } = headerOf(await this.#options.read(revisionRequest(this.range)));
      if (this.store !== store) return;
      if (revision < applied) this.distrust(revision);
      else this.#suspect = false;
    } catch {
      // It cannot be known now. The feed stays suspect, and its next move makes the mirror ask again.
    } finally {
      this.#verifying = false;
    }
  }

  /** {@link #fail} after the feed's call, during which its subscriptions must not change. Serves no more from now on. */
  #failSoon(state: LoadFailure, reason: string): void {
    const load = this.#load;
    this.state = state;
    setImmediate(() => {
      if (load === this.#load) this.#fail(state, reason);
    });
  }

  #fail(state: LoadFailure, reason: string): void {
    this.#options.stats.failedLoads++;
    this.#clear(state);
    const ms = this.#retry.after(state, () => this.#loadNow());
    this.#options.log.onFailed(this.range, state, reason, ms);
  }

  /** Lets go of everything, and leaves the reads that wait to etcd. */
  #clear(state: MirrorState): void {
    this.#load++;
    this.state = state;
    this.#store = undefined;
    if (this.#subscription !== undefined) this.#subscription.feed.unsubscribe(this.#subscription);
    this.#subscription = undefined;
    this.arrivals.giveUp('loading');
  }
}

/** What a failure of a read or a watch means for the mirror. */
function stateAfter(status: Pick<Status, 'code'>): LoadFailure {
  return isRefusal(status) ? 'refused' : 'loading';
}

/** What the end of the feed means for the mirror. */
function endOf(end: SubscriptionEnd): [LoadFailure, string] {
  if (end.kind === 'status') return [stateAfter(end.status), end.status.message];
  // A watch that etcd cancels without a compaction is one that it does not permit.
  if (end.kind === 'canceled') return ['refused', end.reason];
  return ['loading', end.kind === 'compacted' ? 'compacted' : ANOTHER_CLUSTER];
}
