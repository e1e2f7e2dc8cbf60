/**
 * A feed: one watch on etcd that serves any number of watchers. It outlives its stream to etcd: a lost one is opened
 * again at the revision after the last one applied, and watchers notice nothing.
 *
 * Two revisions say what it can serve. `history.floor`: from here on everything is remembered. `applied`: up to here
 * everything has been seen. `applied` moves when all events of a revision are in the history, and by a progress
 * response of an etcd whose progress responses can be trusted; never by the header of a response with events,
 * which is ahead of events still to come while etcd catches up.
 */
import type { Status } from '../../rpc/status.ts';
import type { KeyRange } from '../key-range.ts';
import { batchesOf } from './batch.ts';
import { Cursors } from './cursors.ts';
import type { FeedContext } from './feed-context.ts';
import { History } from './history.ts';
import { ProgressQuestions } from './progress-questions.ts';
import { type Header, NO_HEADER, type WatchResponse } from './response.ts';
import { RetryDelay } from './retry-delay.ts';
import { Subscribers } from './subscribers.ts';
import { SyncPoint } from './sync-point.ts';
import { isFinal, isOutage, type Terminal } from './terminal.ts';
import type { UpstreamWatch, UpstreamWatchOwner } from './upstream-watch.ts';

/** `gathering`: not sent to etcd yet, so that it can still start earlier. */
export type FeedState = 'gathering' | 'starting' | 'live' | 'resuming' | 'ended';

/** With so much unread by every watcher, a catch-up feed stops reading etcd. */
const CATCH_UP_BYTES = 1 << 20;
/** The same for other feeds. */
const STALL_BYTES = 8 << 20;

/** A stream that lived for so long, in milliseconds, was a good one: its end is the first of a row. */
const LIVED_MS = 3000;
/** After so many streams that failed soon for no known reason, clients are told. */
const MAX_FAILURES = 6;

export class Feed implements UpstreamWatchOwner {
  readonly context: FeedContext;
  readonly range: KeyRange;
  readonly prevKv: boolean;
  readonly history: History;
  readonly cursors: Cursors;
  readonly subscribers: Subscribers;
  readonly progress: ProgressQuestions;
  /** The feed that this one's watchers move to as soon as they have caught up with its history. */
  target: Feed | undefined;
  state: FeedState = 'gathering';
  applied: number;
  /** Up to here its knowledge may be of a past that a backup has undone: a stream began on a member at a lower revision. */
  doubtful = 0;
  /** etcd's latest header on this feed. */
  header: Header = NO_HEADER;
  terminal: Terminal | undefined;
  /** When the progress interval began, in milliseconds of `performance.now()`. */
  tickedAt = performance.now();
  /** When etcd's own interval began; not a number once something came in between. */
  #heardAt = Number.NaN;
  #openedAt = 0;
  /** How often in a row the stream failed soon, in a way that no outage explains. */
  #failures = 0;
  readonly #delay = new RetryDelay();
  #watch: UpstreamWatch | undefined;
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #paused = false;
  /** The present stream to etcd was opened for what comes next, at whatever revision etcd was. */
  #fromNow = false;
  readonly #sync = new SyncPoint();
  /** Whether it was started for events of the past. */
  readonly past: boolean;

  /** @param start the first revision whose events are wanted */
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
    this.#timer = setImmediate(() => this.#open());
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

  /** Whether it may lack events that etcd has: it has no stream, catches up, or does not read while no client does. */
  get behind(): boolean {
    return this.state !== 'live' || this.target !== undefined || this.#paused;
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
    this.#watch?.requestProgress();
  }

  /** Ends the feed because nobody needs it. */
  close(): void {
    this.state = 'ended';
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
    this.#watch?.cancel();
    this.#watch = undefined;
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
    if (this.target !== undefined) this.history.forgetBefore(this.cursors.least());
    const limit = this.target !== undefined ? CATCH_UP_BYTES : STALL_BYTES;
    const stuck = this.cursors.allLagging && this.subscribers.size === 0;
    const full = stuck && this.history.bytesFrom(this.cursors.least()) > limit;
    if (full === this.#paused) return;
    this.#paused = full;
    this.#heardAt = Number.NaN;
    if (full) this.#watch?.pause();
    else this.#watch?.resume();
  }

  onResponse(response: WatchResponse): void {
    if (response.header.revision !== 0) this.#heard(response.header);
    if (this.state === 'ended') return;
    if (response.canceled) this.#canceled(response);
    else if (response.created) this.#created();
    else if (response.events.length > 0) this.#events(response);
    else this.#progressed(response);
  }

  onFragment(size: number): void {
    this.context.fragments.saw(size);
  }

  onEnd(status: Status): void {
    this.#watch = undefined;
    this.context.versions.forget(this.header.member);
    if (this.state === 'ended') return;
    if (performance.now() - this.#openedAt >= LIVED_MS) {
      this.#delay.reset();
      this.#failures = 0;
    }
    if (isFinal(status) || (!isOutage(status) && ++this.#failures === MAX_FAILURES)) {
      this.#finish({ kind: 'status', status });
      return;
    }
    this.state = 'resuming';
    this.context.stats.resumes++;
    this.subscribers.moved();
    this.#timer = setTimeout(() => this.#open(), this.#delay.next());
  }

  /**
   * Watches what comes next from now on, and a backlog from its revision. A watch that starts after etcd's latest
   * revision would be told no progress (`progressIfSync`), and one that starts at it would wait for etcd's next
   * round of catching up; one from now on has neither fault. {@link #created} sees to what it may have missed.
   */
  #open(): void {
    this.#timer = undefined;
    this.#fromNow = !(this.state === 'gathering' && this.past);
    if (this.state === 'gathering') this.state = 'starting';
    this.#watchFrom(this.#fromNow ? 0 : this.applied + 1);
  }

  #watchFrom(start: number): void {
    this.#paused = false;
    this.#openedAt = performance.now();
    this.#watch = this.context.openWatch({ range: this.range, start, prevKv: this.prevKv }, this);
    this.flow();
  }

  #created(): void {
    if (this.#fromNow && this.header.revision > this.applied) {
      // The store had moved on before the watch was there: what lies between has to be watched from the past.
      this.#fromNow = false;
      this.#watch?.cancel();
      this.#watchFrom(this.applied + 1);
      return;
    }
    const { revision } = this.header;
    if (revision < this.applied) this.#doubt();
    this.state = 'live';
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

  /**
   * The member is behind, or was set back to a backup and what the feed knows never happened. Its watchers go on behind
   * what they have had, as directly; nobody else gets anything of it.
   */
  #doubt(): void {
    this.doubtful = this.applied;
    this.history.forgetBefore(this.applied + 1);
    this.history.floor = this.applied + 1;
  }

  #heard(header: Header): void {
    const before = this.header;
    this.header = header;
    if (before !== NO_HEADER && before.cluster !== header.cluster) {
      this.subscribers.end({ kind: 'replaced', header });
      // Its history is that of the other cluster: nobody new may be served from it.
      this.context.ended(this);
    }
    this.#sync.heard(header.revision, this.applied);
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
    this.#moveOn();
  }

  #progressed(response: WatchResponse): void {
    const { revision } = response.header;
    const periodic = response.watchId >= 0;
    if (!this.memberKnown) this.learnMember();
    if (this.progressIsSafe) {
      if (revision > this.applied) this.applied = revision;
      if (!periodic) this.progress.answered();
    }
    if (periodic) {
      const now = performance.now();
      if (this.#heardAt > 0) this.context.interval.saw(now - this.#heardAt);
      this.#heardAt = now;
      this.tick(now);
    }
    this.#moveOn();
  }

  /** etcd's progress interval has passed: tells the watchers that want it how far they are. */
  tick(now: number): void {
    this.tickedAt = now;
    this.cursors.notifyProgress();
  }

  /** Hands watchers over to the target where they fit, and sees to the flow of the others. */
  #moveOn(): void {
    this.progress.look();
    this.subscribers.moved();
    if (this.target !== undefined) this.cursors.moveTo(this.target);
    if (this.state !== 'ended') this.flow();
  }

  #canceled(response: WatchResponse): void {
    const { header, compactRevision, cancelReason } = response;
    this.#watch?.cancel();
    this.#watch = undefined;
    if (compactRevision > 0) this.#finish({ kind: 'compacted', header, revision: compactRevision });
    else this.#finish({ kind: 'canceled', header, reason: cancelReason });
  }

  #finish(terminal: Terminal): void {
    this.state = 'ended';
    this.terminal = terminal;
    this.progress.close();
    this.subscribers.end(terminal);
    this.context.ended(this);
    this.cursors.finishSynced();
  }
}
