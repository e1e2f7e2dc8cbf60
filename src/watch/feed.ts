/**
 * A feed: one watch on etcd that serves any number of watchers. It outlives its stream to etcd: a lost one is opened
 * again at the revision after the last one applied, and watchers notice nothing.
 *
 * Two revisions say what it can serve. `history.floor`: from here on everything is remembered. `applied`: up to here
 * everything has been seen. `applied` moves when all events of a revision are in the history, and by a progress
 * response of an etcd whose progress responses can be trusted; never by the header of a response with events,
 * which is ahead of events still to come while etcd catches up.
 */

import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { Cursors, type CursorsOwner } from './cursors.ts';
import { FeedGuard, type GuardedFeed } from './feed-guard.ts';
import { FeedIntake, type IntakeFeed } from './feed-intake.ts';
import type { FeedOptions, FeedOwner } from './feed-owner.ts';
import { FeedStream, type FeedStreamState } from './feed-stream.ts';
import { Flow, type FlowFeed } from './flow.ts';
import { History } from './history.ts';
import type { IdentityUpstream } from './identity-upstream.ts';
import { KnownStore } from './known-store.ts';
import type { UnusedFeed } from './lingering.ts';
import { ProgressClock } from './progress-clock.ts';
import { ProgressQuestions, type QuestionedFeed } from './progress-questions.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import { type FeedSubscriber, type SubscribedFeed, Subscribers, type Subscription } from './subscribers.ts';
import type { TargetFeed } from './target-feed.ts';
import { FAULTY, OTHER_CLUSTER, type Terminal } from './terminal.ts';
import type { Watcher } from './watcher.ts';

export class Feed
  implements
    GuardedFeed,
    IntakeFeed,
    CursorsOwner,
    TargetFeed,
    SubscribedFeed,
    QuestionedFeed,
    FlowFeed,
    UnusedFeed
{
  readonly range: KeyRange;
  readonly prevKv: boolean;
  readonly past: boolean;
  readonly history: History;
  readonly cursors: Cursors;
  readonly subscribers = new Subscribers(this);
  readonly progress: ProgressQuestions;
  readonly clock: ProgressClock;
  applied: number;
  terminal: Terminal | undefined;
  #target: Feed | undefined;
  /** It begins wherever etcd is when it has the watch, which it has not said yet. */
  #beginsNow: boolean;
  readonly #shared: SharedFeeds;
  readonly #owner: FeedOwner<Feed>;
  readonly store: KnownStore;
  readonly #stream: FeedStream;
  readonly intake: FeedIntake;
  readonly #guard: FeedGuard;
  readonly flow: Flow;

  constructor(
    shared: SharedFeeds,
    etcd: IdentityUpstream,
    owner: FeedOwner<Feed>,
    options: FeedOptions<Feed>,
  ) {
    const { range, prevKv, past, target } = options;
    const start = options.start === 'now' ? 1 : options.start;
    this.#beginsNow = options.start === 'now';
    this.range = range;
    this.store = new KnownStore(options.told);
    this.prevKv = prevKv;
    this.past = past;
    this.applied = start - 1;
    this.#target = target;
    this.#shared = shared;
    this.#owner = owner;
    this.history = new History(start, shared.historyRevisions, shared.budget);
    this.history.kept = target !== undefined;
    this.cursors = new Cursors(this, shared);
    this.progress = new ProgressQuestions(this, etcd);
    this.clock = new ProgressClock(() => this.cursors.notifyProgress());
    this.#guard = new FeedGuard(this, shared);
    this.#stream = new FeedStream(shared, etcd, this.#guard);
    this.flow = new Flow(this, this.#stream);
    this.intake = new FeedIntake(this, shared);
  }

  get state(): FeedStreamState {
    return this.#stream.state;
  }

  get header(): Header {
    return this.store.header;
  }

  get undoneUpTo(): number {
    return this.store.undoneUpTo;
  }

  /**
   * A subscriber that knows the range at this revision or a later one misses nothing but what is on its way: the revision
   * that etcd had when the present stream began. `Infinity` without a stream, and until its member is as far as the feed.
   */
  get syncPoint(): number {
    return this.state === 'live' ? this.store.syncPoint : Number.POSITIVE_INFINITY;
  }

  get target(): Feed | undefined {
    return this.#target;
  }

  get catchesUp(): boolean {
    return this.#target !== undefined;
  }

  /** Whether it has users: watchers or subscribers. */
  get used(): boolean {
    return this.cursors.size > 0 || this.subscribers.size > 0;
  }

  get lingers(): boolean {
    return this.state !== 'ended' && !this.catchesUp;
  }

  /** Up to here watchers may be told that they have everything: etcd has named this revision or a later one. */
  get announced(): number {
    return Math.min(this.applied, this.header.revision);
  }

  /** Whether a watcher that needs everything from `next` on can be served. */
  serves(next: number): boolean {
    return this.state !== 'ended' && next >= this.history.floor;
  }

  /** Whether what it remembers is the past of the store that says this of itself. */
  knows(header: Header): boolean {
    return this.store.isStoreOf(header, this.applied, this.state !== 'resuming');
  }

  /** Makes a feed that has not been sent to etcd start earlier, unless it is one for new events only. */
  startFrom(next: number): void {
    if (this.state !== 'gathering' || !this.past || next < 1 || next >= this.history.floor) return;
    this.history.floor = next;
    this.applied = next - 1;
  }

  beginAt(revision: number): boolean {
    if (!this.#beginsNow) return false;
    this.#beginsNow = false;
    this.applied = revision;
    this.history.floor = revision + 1;
    return true;
  }

  /** Takes a watcher that it can serve, and sends it what it has missed. */
  attach(watcher: Watcher): void {
    if (this.cursors.size === 0) this.#owner.onUsed(this);
    this.cursors.attach(watcher);
  }

  pump(watcher: Watcher): void {
    this.cursors.pump(watcher);
  }

  hold(watcher: Watcher): void {
    this.cursors.hold(watcher);
    this.flow.look();
  }

  leave(watchers: readonly Watcher[]): void {
    for (const watcher of watchers) this.#shared.attempt(() => this.cursors.detach(watcher));
    this.#onUserGone();
  }

  /** Takes a subscriber that it can serve, and gives it the batches from `next` on before this returns. */
  subscribe(range: KeyRange, next: number, subscriber: FeedSubscriber): Subscription {
    this.#owner.onUsed(this);
    const subscription = this.subscribers.add(range, next, subscriber, this.history);
    if (this.subscribers.size === 1) this.flow.look();
    return subscription;
  }

  unsubscribe(subscription: Subscription): void {
    if (this.subscribers.remove(subscription)) this.#onUserGone();
  }

  retire(): void {
    this.#owner.onRetired(this);
  }

  /** Ends it because it is not needed. */
  close(): void {
    this.#owner.close(this);
  }

  /** Gives up its stream and forgets everything. */
  stop(): void {
    this.#stream.close();
    this.#guard.close();
    this.history.release();
    this.progress.close();
    this.#target = undefined;
  }

  /** Its target is no use any more: it stands on its own. */
  promote(): void {
    this.#target = undefined;
    this.history.kept = false;
    this.flow.look();
  }

  askProgress(): void {
    this.#stream.requestProgress();
  }

  onOutrun(watcher: Watcher): void {
    this.#owner.onOutrun(this, watcher);
  }

  onStranded(watcher: Watcher): void {
    this.#owner.place(watcher, this.header);
  }

  onLeft(): void {
    if (!this.used) this.#owner.onUnused(this);
  }

  onHeader(header: Header): void {
    if (this.store.isForeign(header)) {
      this.#end({ kind: 'status', status: OTHER_CLUSTER });
      return;
    }
    if (!this.store.onHeader(header, this.applied)) return;
    this.#shared.permits.onOtherStore();
    this.subscribers.end({ kind: 'replaced', header });
    // What it remembers is of a cluster that is gone: no new user may get that.
    this.retire();
  }

  /** A stream begins. Of an etcd that is behind the feed it is forgotten what may never have happened; watchers go on. */
  onBegan(again: boolean): void {
    if (again) this.cursors.suspend(); // as in onLost
    this.intake.onBegan(this.header.revision);
    if (this.store.onBegan(this.applied)) {
      this.#shared.permits.onOtherStore();
      this.history.forgetBefore(this.applied + 1);
      this.history.floor = this.applied + 1;
    }
    this.clock.onBegan();
    this.progress.onBegan();
    this.subscribers.onBegan(this.header.revision);
    this.subscribers.onMoved();
  }

  /** Hands watchers over to the target where they fit, and sees to the flow of the others. */
  onTaken(partial: boolean): void {
    this.progress.look();
    this.subscribers.onMoved();
    if (this.#target !== undefined) this.cursors.moveTo(this.#target);
    this.#owner.onTaken(this);
    if (this.state !== 'ended') this.flow.onTaken(partial);
  }

  onLost(): void {
    this.#shared.stats.resumes++;
    // A client's own stream to etcd would have broken as well, and etcd would have been asked again.
    if (this.#shared.permits.size > 0) this.cursors.suspend();
    this.subscribers.onMoved();
    this.flow.look();
  }

  onOver(terminal: Terminal): void {
    this.terminal = terminal;
    this.#shared.attempt(() => this.progress.close());
    this.#shared.attempt(() => this.subscribers.end(terminal));
    this.#shared.attempt(() => this.retire());
    this.cursors.finishSynced(terminal);
  }

  onFault(error: unknown): void {
    this.#shared.onFault(error);
    if (this.state !== 'ended') this.#end(FAULTY);
  }

  #end(terminal: Terminal): void {
    this.#guard.close();
    this.#stream.close();
    this.onOver(terminal);
  }

  #onUserGone(): void {
    if (this.used) this.flow.look();
    else this.#owner.onUnused(this);
  }
}
