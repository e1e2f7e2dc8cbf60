/**
 * Asks etcd how far a feed has come, for all that want it to reach a revision. Everything that etcd has to tell up to the
 * revision of a progress response came before it on the same stream; so it does not matter which question a response
 * answers, and etcd may pass over questions, which it does while the watch lags behind. They are asked again.
 */

import type { ProbeResult } from '../clients/probe.ts';
import type { Header } from '../etcd/header.ts';
import type { KeyRange } from '../etcd/key-range.ts';
import type { FeedStreamState } from './feed-stream.ts';
import type { IdentityUpstream } from './identity-upstream.ts';
import { FIRST_QUESTION_MS, MAX_QUESTION_MS } from './question-delays.ts';
import { RevisionWaiters } from './revision-waiters.ts';

/** The feed that is asked about. */
export interface QuestionedFeed {
  readonly range: KeyRange;
  readonly state: FeedStreamState;
  /** etcd's latest header on it. */
  readonly header: Header;
  /** etcd has named this revision or a later one, and everything up to it is there. */
  readonly announced: number;
  /** Whether it only brings watchers up to another feed. */
  readonly catchesUp: boolean;
  readonly cursors: { readonly allLagging: boolean };
  /** Asks etcd for a progress response, if the stream is up. */
  askProgress(): void;
  /** It cannot be asked: a fault of the program, which ends it. */
  onFault(error: unknown): void;
}

export class ProgressQuestions {
  readonly #feed: QuestionedFeed;
  readonly #etcd: IdentityUpstream;
  readonly #waiting = new RevisionWaiters();
  /** One function, so that it is told once of a member however often that is asked for. */
  readonly #onLearned = (): void => this.#later(() => this.look());
  /** It keeps asking while the feed catches up with its target. */
  #catchingUp = false;
  /** One more waits since the last question. */
  #hasNewcomer = false;
  #sentAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #delay = FIRST_QUESTION_MS;

  constructor(feed: QuestionedFeed, etcd: IdentityUpstream) {
    this.#feed = feed;
    this.#etcd = etcd;
  }

  /** Whether the feed's member is known to send progress responses that mean what they say. */
  get isSafe(): boolean {
    return this.#etcd.versions.isSafe(this.#feed.header.member);
  }

  /** Whether it is known that they do not. */
  get isUseless(): boolean {
    return this.#knowsMember && !this.isSafe;
  }

  get #knowsMember(): boolean {
    return this.#etcd.versions.knows(this.#feed.header.member);
  }

  /** Finds out about the member, if it is not known, and goes on with the questions that wait for that. */
  learnMember(): void {
    if (this.#knowsMember) return;
    this.#etcd.versions.learn(this.#feed.header.member, this.#onLearned);
  }

  /**
   * Calls back when the feed has come as far as etcd's member is now, and at least to a revision; or when that cannot
   * be known, because the feed has ended or its member's progress responses are worth nothing.
   * @param failed is told of a fault of the program; `done` may be called all the same
   */
  ask(atLeast: number, done: () => void, failed = (error: unknown) => this.#feed.onFault(error)): void {
    const onProbed = (result: ProbeResult): void => {
      try {
        this.reach(Math.max(atLeast, result.kind === 'ok' ? result.header.revision : 0), done);
      } catch (error) {
        failed(error);
      }
    };
    this.#etcd.probe(this.#feed.range, { askedStart: 0, onProbed });
  }

  /** The same for a revision that is known. */
  reach(revision: number, done: () => void): void {
    if (revision <= this.#feed.announced) {
      done();
      return;
    }
    this.#waiting.add(revision, done);
    this.#hasNewcomer = true;
    this.look();
  }

  /** Asks once, and waits for nothing. */
  nudge(): void {
    if (this.#feed.state !== 'live' || !this.isSafe || !this.#due) return;
    this.#sentAt = performance.now();
    this.#feed.askProgress();
  }

  /** The feed has come further, or more is known about its member. */
  look(): void {
    if (this.#waiting.isEmpty && !this.#catchingUp) return;
    const { announced, state } = this.#feed;
    this.#release(state === 'ended' || this.isUseless ? Number.POSITIVE_INFINITY : announced);
    this.#next();
  }

  /** A question was answered. The next one may take its time where only a catch-up wants to know more. */
  onAnswer(): void {
    this.#stop(!this.#waiting.isEmpty);
    this.look();
  }

  /** Another stream is up: questions on the old one will not be answered. */
  onBegan(): void {
    this.learnMember();
    if (this.#feed.catchesUp) {
      this.#catchingUp = true;
      this.#next();
    }
    this.#stop();
    this.#sentAt = 0;
    this.look();
  }

  /** No answer will come: calls back all that wait. */
  close(): void {
    this.#stop();
    this.#catchingUp = false;
    this.#release(Number.POSITIVE_INFINITY);
  }

  /** Calls back those that wait for a revision or an earlier one. */
  #release(revision: number): void {
    for (const done of this.#waiting.take(revision)) done();
  }

  /** Whether the last question was long enough ago. */
  get #due(): boolean {
    return performance.now() - this.#sentAt >= FIRST_QUESTION_MS;
  }

  #next(): void {
    const feed = this.#feed;
    if (!feed.catchesUp) this.#catchingUp = false;
    if (this.#waiting.isEmpty && !this.#catchingUp) {
      this.#stop();
      return;
    }
    if (feed.state !== 'live') return;
    const underWay = this.#timer !== undefined;
    // What was known of the member is forgotten when any other feed loses its stream.
    if (!this.#knowsMember) this.learnMember();
    else if (!this.isSafe) this.#stop();
    else if (underWay ? this.#hasNewcomer && this.#due : this.#hasNewcomer || this.#due) this.#send();
    else this.#timer ??= setTimeout(() => this.#later(() => this.#again()), this.#delay);
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#hasNewcomer = false;
    this.#sentAt = performance.now();
    // How far a catch-up is does not matter while all of its watchers lag: none of them reads what it brings.
    if (!this.#waiting.isEmpty || !this.#feed.cursors.allLagging) this.#feed.askProgress();
    this.#timer = setTimeout(() => this.#later(() => this.#again()), this.#delay);
    this.#delay = Math.min(this.#delay * 2, MAX_QUESTION_MS);
  }

  /** What is done at a time of its own. */
  #later(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#feed.onFault(error);
    }
  }

  #again(): void {
    this.#timer = undefined;
    this.#next();
  }

  /** No question is under way; the next one may come soon. */
  #stop(soon = true): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (soon) this.#delay = FIRST_QUESTION_MS;
  }
}
