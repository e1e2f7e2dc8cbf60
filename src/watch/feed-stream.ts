/**
 * The stream of a feed to etcd. One that is lost is opened again behind what the feed knows, on whichever endpoint answers.
 * While no user reads what it brings it is given up altogether, so that neither etcd nor the proxy keeps anything for it.
 */

import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import { isFinal, isOutage, isRefusal, isTooLarge } from '../etcd/statuses.ts';
import type { WatchResponse } from '../etcd/watch-response.ts';
import { RetryDelay } from '../rpc/retry-delay.ts';
import type { Status } from '../rpc/status.ts';
import type { IdentityUpstream } from './identity-upstream.ts';
import { ALONE, FULL, LIVED_MS, PROBATION_MS } from './rides/company.ts';
import type { Ride, RideOwner } from './rides/ride.ts';
import type { TurnTaker } from './semaphore.ts';
import type { SharedFeeds } from './shared-feeds.ts';
import type { Terminal } from './terminal.ts';

/** `gathering`: not sent to etcd yet, so that it can still start earlier. */
export type FeedStreamState = 'gathering' | 'starting' | 'live' | 'resuming' | 'ended';

/** Hears of the stream. Nothing follows {@link onOver}. */
export interface FeedStreamOwner {
  readonly range: KeyRange;
  readonly prevKv: boolean;
  /** Whether it is started for events of the past. */
  readonly past: boolean;
  /** Everything up to here has come: the stream begins behind it. */
  readonly received: number;
  /** Whether it only brings watchers up to another feed: such streams begin a few at a time. */
  readonly catchesUp: boolean;
  /** etcd says this of itself. */
  onHeader(header: Header): void;
  /**
   * etcd has the watch of what comes next, and is at this revision.
   * @returns whether the owner begins there: nobody wants anything of what lies before
   */
  beginAt(revision: number): boolean;
  /**
   * The watch exists, and nothing is missing between what is applied and what it brings.
   * @param again it was given up while nobody read; a client's own may have broken meanwhile, with the member's process
   */
  onBegan(again: boolean): void;
  /** Events, or progress. */
  onBrought(response: WatchResponse): void;
  /** It is lost, and will be opened again. */
  onLost(): void;
  onOver(terminal: Terminal): void;
  /** It met a fault of the program, and has no watch. */
  onFault(error: unknown): void;
}

/** After so many streams that failed soon for no known reason, clients are told. */
const MAX_FAILURES = 6;

export class FeedStream implements RideOwner, TurnTaker {
  state: FeedStreamState = 'gathering';
  /** It was given up, or waits, until a user reads. */
  parked = false;
  /** How many may share a stream with its watch. */
  company = FULL;
  readonly #shared: SharedFeeds;
  readonly #etcd: IdentityUpstream;
  readonly #owner: FeedStreamOwner;
  readonly #delay = new RetryDelay();
  #watch: Ride | undefined;
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  /** It was opened for what comes next, at whatever revision etcd was. */
  #fromNow = false;
  /** etcd's latest revision on it. */
  #revision = 0;
  /** It had begun when it was given up. */
  #hadBegun = false;
  #openedAt = 0;
  /** More of the latest response is still to come. */
  #partial = false;
  /** The latest one ended at a response that was too large as a whole: the next one asks for it in fragments. */
  #fragment = false;
  /** How often in a row it failed soon, in a way that no outage explains. */
  #failures = 0;
  /** How often in a row etcd refused it although whoever it is to etcd may watch the range. */
  #refusals = 0;

  constructor(shared: SharedFeeds, etcd: IdentityUpstream, owner: FeedStreamOwner) {
    this.#shared = shared;
    this.#etcd = etcd;
    this.#owner = owner;
    this.#timer = setImmediate(() => this.#open());
  }

  get applied(): number {
    return this.#owner.received;
  }

  get catchesUp(): boolean {
    return this.#owner.catchesUp;
  }

  /** Asks etcd for a progress response, if the stream is up. */
  requestProgress(): void {
    this.#watch?.requestProgress();
  }

  /** Gives it up until {@link unpark}; within a response it waits instead, since etcd would have to make that anew. */
  park(): void {
    this.parked = true;
    if (this.#partial) {
      if (this.#watch?.pause()) return;
      // On a stream of its own it can wait the next time.
      this.company = ALONE;
    }
    this.#drop();
    if (this.state === 'live') this.#hadBegun = true;
    if (this.state !== 'gathering') this.state = 'resuming';
  }

  unpark(): void {
    this.parked = false;
    if (this.#watch !== undefined) this.#watch.resume();
    else this.#timer = setImmediate(() => this.#open());
  }

  /** Ends it; the owner hears no more. */
  close(): void {
    this.state = 'ended';
    this.#drop();
  }

  onResponse(response: WatchResponse): void {
    const { header } = response;
    if (header.revision !== 0) {
      this.#revision = header.revision;
      this.#owner.onHeader(header);
    }
    if (this.state === 'ended') return;
    this.#partial = response.fragment;
    if (response.canceled) this.#canceled(response);
    else if (response.created) this.#created();
    else {
      this.#owner.onBrought(response);
      this.#shared.catchUpTurns.leave(this);
    }
  }

  onEnd(status: Status): void {
    this.#watch = undefined;
    this.#shared.catchUpTurns.leave(this);
    if (this.state === 'ended') return;
    const lived = performance.now() - this.#openedAt;
    if (lived >= LIVED_MS) {
      this.#delay.reset();
      this.#failures = 0;
    }
    if (this.company === ALONE && isOutage(status) && lived >= PROBATION_MS) this.company = FULL;
    this.#fragment = !this.#fragment && isTooLarge(status);
    if (this.#fragment) this.#shared.stats.limits.fragments++;
    else if (isRefusal(status) && this.#etcd.renews) {
      void this.#renew({ kind: 'status', status });
      return;
    } else if (isFinal(status) || (!isOutage(status) && ++this.#failures === MAX_FAILURES)) {
      this.#over({ kind: 'status', status });
      return;
    }
    this.state = 'resuming';
    this.#partial = false;
    if (!this.parked) this.#timer = setTimeout(() => this.#open(), this.#delay.next());
    this.#owner.onLost();
  }

  #open(): void {
    this.#timer = undefined;
    if (!this.#owner.catchesUp || this.#shared.catchUpTurns.take(this)) this.onTurn();
  }

  /**
   * Watches what comes next from now on, and a backlog from its revision. A watch that starts after etcd's latest
   * revision would be told no progress (`progressIfSync`), and one that starts at it would wait for etcd's next
   * round of catching up; one from now on has neither fault. {@link #created} sees to what it may have missed.
   */
  onTurn(): void {
    this.#fromNow = !(this.state === 'gathering' && this.#owner.past);
    if (this.state === 'gathering') this.state = 'starting';
    this.#begin();
  }

  #begin(): void {
    const { range, prevKv } = this.#owner;
    this.#openedAt = performance.now();
    try {
      const start = this.#fromNow ? 0 : this.applied + 1;
      const watch = { range, start, prevKv, fragment: this.#fragment };
      this.#watch = this.#etcd.ride(watch, this, this.state === 'starting');
    } catch (error) {
      this.#owner.onFault(error);
    }
  }

  #created(): void {
    const hasMoved = this.#fromNow && this.#revision > this.applied;
    const hasGap = hasMoved && !this.#owner.beginAt(this.#revision);
    // What it was told may have ended it.
    if (this.state === 'ended') return;
    if (hasGap) {
      // The store had moved on before the watch was there: what lies between has to be watched from the past.
      this.#fromNow = false;
      this.#watch?.cancel();
      this.#begin();
      return;
    }
    this.state = 'live';
    this.#refusals = 0;
    const again = this.#hadBegun;
    this.#hadBegun = false;
    this.#owner.onBegan(again);
  }

  #canceled({ header, compactRevision, cancelReason }: WatchResponse): void {
    const terminal: Terminal = { kind: 'canceled', header, reason: cancelReason };
    if (compactRevision > 0) this.#over({ kind: 'compacted', header, revision: compactRevision });
    else if (this.#etcd.renews) void this.#renew(terminal);
    else this.#over(terminal);
  }

  /** etcd takes its credentials no more. With others it goes on from where it was, if those may watch the range. */
  async #renew(terminal: Terminal): Promise<void> {
    const { state } = this;
    this.#drop();
    this.state = 'resuming';
    this.#partial = false;
    if (state === 'live') this.#owner.onLost();
    const may = ++this.#refusals < MAX_FAILURES && (await this.#etcd.mayWatch(this.#owner.range));
    if (this.state !== 'resuming') return;
    if (!may) this.#over(terminal);
    // It may have been parked meanwhile, and even unparked: then it is opened already.
    else if (!this.parked && this.#timer === undefined && this.#watch === undefined)
      this.#timer = setTimeout(() => this.#open(), this.#delay.next());
  }

  #over(terminal: Terminal): void {
    this.close();
    this.#owner.onOver(terminal);
  }

  #drop(): void {
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
    this.#timer = undefined;
    this.#watch?.cancel();
    this.#watch = undefined;
    this.#shared.catchUpTurns.leave(this);
  }
}
