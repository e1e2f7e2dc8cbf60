/**
 * A feed: one watch on etcd that serves any number of watchers. It outlives its stream to etcd: a lost one is opened
 * again at the revision after the last one applied, and watchers notice nothing.
 *
 * Two revisions say what it can serve. `history.floor`: from here on everything is remembered. `applied`: up to here
 * everything has been seen. `applied` moves when all events of a revision are in the history, and by a progress
 * response of an etcd whose progress responses can be trusted; never by the header of a response with events,
 * which is ahead of events still to come while etcd catches up.
 */

import { type Header, NO_HEADER } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { WatchResponse } from '../etcd/watch-response.ts';
import { batchesOf } from './batch.ts';
import { Cursors } from './cursors.ts';
import type { FeedContext } from './feed-context.ts';
import { FeedStream, type FeedStreamOwner, type FeedStreamState } from './feed-stream.ts';
import { History } from './history.ts';
import { ProgressQuestions } from './progress-questions.ts';
import { Subscribers } from './subscribers.ts';
import { SyncPoint } from './sync-point.ts';
import type { Terminal } from './terminal.ts';

/** With so much unread by every watcher, a catch-up feed stops reading etcd. */
const CATCH_UP_BYTES = 1 << 20;
/** The same for other feeds. */
const STALL_BYTES = 8 << 20;

export class Feed implements FeedStreamOwner {
  readonly context: FeedContext;
  readonly range: KeyRange;
  readonly prevKv: boolean;
  readonly past: boolean;
  readonly history: History;
  readonly cursors: Cursors;
  readonly subscribers: Subscribers;
  readonly progress: ProgressQuestions;
  /** The feed that this one's watchers move to as soon as they have caught up with its history. */
  target: Feed | undefined;
  applied: number;
  /** Up to here its knowledge may be of a past that a backup has undone: a stream began on a member at a lower revision. */
  doubtful = 0;
  /** etcd's latest header on this feed. */
  header: Header = NO_HEADER;
  /** Why it has ended, if etcd has ended it. */
  terminal: Terminal | undefined;
  /** When the progress interval began, in milliseconds of `performance.now()`. */
  tickedAt = performance.now();
  /** When etcd's own interval began; not a number once something came in between. */
  #heardAt = Number.NaN;
  /** The least revision that a watcher needed when the stream was given up for lack of readers. */
  #parkedAt = 0;
  readonly #stream: FeedStream;
  readonly #sync = new SyncPoint();

  /**
   * @param start the first revision whose events are wanted
   * @param past whether it is started for events of the past
   */
  constructor(
    context: FeedContext,
    range: KeyRange,
    prevKv: boolean,
    start: number,
    target: Feed | undefined,
    past: boolean,
  ) {
    this.past = past;
    this.context = context;
    this.range = range;
    this.prevKv = prevKv;
    this.target = target;
    this.applied = start - 1;
    this.history = new History(start, context.maxRevisions, context.budget);
    this.history.kept = target !== undefined;
    this.cursors = new Cursors(this);
    this.subscribers = new Subscribers(this);
    this.progress = new ProgressQuestions(this);
    this.#stream = new FeedStream(context, this);
  }

  get state(): FeedStreamState {
    return this.#stream.state;
  }

  get catchesUp(): boolean {
    return this.target !== undefined;
  }

  /** Whether anybody needs it. */
  get used(): boolean {
    return this.cursors.size > 0 || this.subscribers.size > 0;
  }

  /**
   * Whoever knows the range at this revision or a later one misses nothing but what is on its way: the revision that
   * etcd had when the present stream began. `Infinity` without a stream, and until its member is as far as the feed.
   */
  get syncPoint(): number {
    return this.state === 'live' ? this.#sync.revision : Number.POSITIVE_INFINITY;
  }

  /** Whether it may lack events that etcd has: it has no stream, or catches up. */
  get behind(): boolean {
    return this.state !== 'live' || this.target !== undefined;
  }

  /** Whether a watcher that needs everything from `next` on can be served. */
  serves(next: number): boolean {
    return this.state !== 'ended' && next >= this.history.floor;
  }

  /**
   * Whether what it remembers is the past of the store that says this of itself. Until its stream is there again it
   * cannot know better: meanwhile the store may have been set back to a backup, or be that of another cluster.
   */
  knows(header: Header): boolean {
    if (this.header !== NO_HEADER && header !== NO_HEADER && this.header.cluster !== header.cluster)
      return false;
    return this.state !== 'resuming' || this.applied <= header.revision;
  }

  /** Makes a feed that has not been sent to etcd start earlier, unless it is one for new events only. */
  startFrom(next: number): void {
    if (this.state !== 'gathering' || !this.past || next < 1 || next >= this.history.floor) return;
    this.history.floor = next;
    this.applied = next - 1;
  }

  /** Up to here watchers may be told that they have everything: etcd has named this revision or a later one. */
  get announced(): number {
    return Math.min(this.applied, this.header.revision);
  }

  /** Whether progress responses of the present stream mean what they say. */
  get progressIsSafe(): boolean {
    return this.context.versions.isSafe(this.header.member);
  }

  /** Whether it is known what progress responses are worth. */
  get memberKnown(): boolean {
    return this.context.versions.knows(this.header.member);
  }

  /** Finds out about the member, and goes on with the questions that wait for that. */
  learnMember(): void {
    this.context.versions.learn(this.header.member, () => this.progress.look());
  }

  /** Asks etcd for a progress response, if the stream is up. */
  askProgress(): void {
    this.#stream.requestProgress();
  }

  /** Ends the feed because nobody needs it. */
  close(): void {
    this.#stream.close();
    this.history.release();
    this.progress.close();
  }

  /** The target is gone: this feed stands on its own. */
  promote(): void {
    this.target = undefined;
    this.history.kept = false;
    this.flow();
  }

  /** Users have come, gone or read: decides whether etcd may send more. It waits only while nobody reads. */
  flow(): void {
    const nobodyReads = this.cursors.allLagging && this.subscribers.size === 0;
    // Who is furthest behind takes a look at all who are, so it is asked only where it matters.
    const least = nobodyReads || this.target !== undefined ? this.cursors.least() : this.applied + 1;
    if (this.target !== undefined) this.history.forgetBefore(least);
    if (nobodyReads && this.#full(least)) {
      if (this.#stream.parked) return;
      this.#parkedAt = least;
      this.#stream.park();
      this.subscribers.moved();
    } else if (this.#stream.parked) this.#stream.unpark();
  }

  /** Whether there is much that nobody reads; once it was given up, until somebody has read half of that. */
  #full(least: number): boolean {
    const unread = this.history.bytesFrom(least);
    const limit = this.target === undefined ? STALL_BYTES : CATCH_UP_BYTES;
    return this.#stream.parked ? least === this.#parkedAt || unread > limit / 2 : unread > limit;
  }

  /** etcd's progress interval has passed: tells the watchers that want it how far they are. */
  tick(now: number): void {
    this.tickedAt = now;
    this.cursors.notifyProgress();
  }

  heard(header: Header): void {
    const before = this.header;
    this.header = header;
    if (before !== NO_HEADER && before.cluster !== header.cluster) {
      this.subscribers.end({ kind: 'replaced', header });
      // Its history is that of the other cluster: nobody new may be served from it.
      this.context.ended(this);
    }
    this.#sync.heard(header.revision, this.applied);
  }

  began(): void {
    const { revision } = this.header;
    if (revision < this.applied) this.#doubt();
    this.#sync.begin();
    this.#sync.heard(revision, this.applied);
    this.#heardAt = performance.now();
    this.tickedAt = this.#heardAt;
    this.learnMember();
    if (this.target !== undefined) this.progress.catchUp();
    this.progress.resume();
    this.subscribers.began(revision);
    this.subscribers.moved();
  }

  brought(response: WatchResponse): void {
    if (response.events.length > 0) this.#events(response);
    else this.#progressed(response);
    this.#moveOn();
  }

  lost(): void {
    this.context.stats.resumes++;
    this.subscribers.moved();
    this.flow();
  }

  over(terminal: Terminal): void {
    this.terminal = terminal;
    this.progress.close();
    this.subscribers.end(terminal);
    this.context.ended(this);
    this.cursors.finishSynced();
  }

  /**
   * The member is behind, or was set back to a backup and what the feed knows never happened. Its watchers go on behind
   * what they have had, as directly; nobody else gets anything of it.
   */
  #doubt(): void {
    this.doubtful = this.applied;
    this.history.forgetBefore(this.applied + 1);
    this.history.floor = this.applied + 1;
  }

  #events({ events, header }: WatchResponse): void {
    this.#heardAt = Number.NaN;
    // Where it had to catch up with the present, its watchers get what they would have got meanwhile.
    const batches = batchesOf(header, events, this.applied, !this.past);
    this.context.stats.received(events.length, batches);
    for (const batch of batches) {
      this.history.push(batch);
      this.subscribers.deliver(batch);
      this.cursors.deliver(batch);
      this.applied = batch.revision;
    }
    this.context.budget.enforce();
  }

  #progressed({ header, watchId }: WatchResponse): void {
    const periodic = watchId >= 0;
    if (!this.memberKnown) this.learnMember();
    if (this.progressIsSafe) {
      if (header.revision > this.applied) this.applied = header.revision;
      if (!periodic) this.progress.answered();
    }
    if (!periodic) return;
    const now = performance.now();
    if (this.#heardAt > 0) this.context.interval.saw(now - this.#heardAt);
    this.#heardAt = now;
    this.tick(now);
  }

  /** Hands watchers over to the target where they fit, and sees to the flow of the others. */
  #moveOn(): void {
    this.progress.look();
    this.subscribers.moved();
    if (this.target !== undefined) this.cursors.moveTo(this.target);
    if (this.state !== 'ended') this.flow();
  }
}
