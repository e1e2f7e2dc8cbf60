/**
 * Asks etcd how far a feed has come, for all who want it to reach a revision. Everything that etcd has to tell up to the
 * revision of a progress response came before it on the same stream; so it does not matter which question a response
 * answers, and etcd may pass over questions, which it does while the watch lags behind. They are asked again.
 */

import type { ProbeResult } from '../clients/probe.ts';
import type { Feed } from './feed.ts';

/** One question is followed by the next no sooner than this, unless it was answered. */
const FIRST_MS = 10;
const MAX_MS = 2000;

interface Waiting {
  readonly revision: number;
  readonly done: () => void;
}

export class ProgressQuestions {
  readonly #feed: Feed;
  #waiting: Waiting[] = [];
  #catchingUp = false;
  /** Somebody has come since the last question. */
  #fresh = false;
  #sentAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #delay = FIRST_MS;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /**
   * Calls back when the feed has come as far as etcd's member is now, and at least to a revision; or when that cannot
   * be known, because the feed has ended or its member's progress responses are worth nothing.
   */
  ask(atLeast: number, done: () => void): void {
    const probed = (result: ProbeResult): void =>
      this.reach(Math.max(atLeast, result.kind === 'ok' ? result.header.revision : 0), done);
    this.#feed.context.probe(this.#feed.range, { askedStart: 0, probed });
  }

  /** The same for a revision that is known. */
  reach(revision: number, done: () => void): void {
    this.#waiting.push({ revision, done });
    this.#fresh = true;
    this.look();
  }

  /** Asks once, for nobody in particular. */
  nudge(): void {
    if (this.#feed.state !== 'live' || !this.#feed.progressIsSafe || !this.#due) return;
    this.#sentAt = performance.now();
    this.#feed.askProgress();
  }

  /** Keeps asking while the feed catches up with its target. */
  catchUp(): void {
    this.#catchingUp = true;
    this.#next();
  }

  /** The feed has come further, or more is known about its member. */
  look(): void {
    if (this.#waiting.length === 0 && !this.#catchingUp) return;
    const { announced, state, memberKnown, progressIsSafe } = this.#feed;
    if (state === 'ended' || (memberKnown && !progressIsSafe)) this.#release(() => true);
    else this.#release(({ revision }) => revision <= announced);
    this.#next();
  }

  /** A question was answered. Nobody is in a hurry where only a catch-up wants to know more. */
  answered(): void {
    this.#stop(this.#waiting.length > 0);
    this.look();
  }

  /** The stream is up again: questions on the old one will not be answered. */
  resume(): void {
    this.#stop();
    this.#sentAt = 0;
    this.look();
  }

  /** No answer will come: whoever waits looks for himself. */
  close(): void {
    this.#stop();
    this.#catchingUp = false;
    this.#release(() => true);
  }

  #release(there: (waiting: Waiting) => boolean): void {
    const all = this.#waiting;
    if (all.length === 0) return;
    this.#waiting = all.filter((waiting) => !there(waiting));
    for (const waiting of all) if (there(waiting)) waiting.done();
  }

  /** Whether the last question was long enough ago. */
  get #due(): boolean {
    return performance.now() - this.#sentAt >= FIRST_MS;
  }

  #next(): void {
    const feed = this.#feed;
    if (feed.target === undefined) this.#catchingUp = false;
    if (this.#waiting.length === 0 && !this.#catchingUp) {
      this.#stop();
      return;
    }
    if (feed.state !== 'live') return;
    const underWay = this.#timer !== undefined;
    // Another feed may have lost its stream since, and with it everybody what was known of its member.
    if (!feed.memberKnown) feed.learnMember();
    else if (!feed.progressIsSafe) this.#stop();
    else if (underWay ? this.#fresh && this.#due : this.#fresh || this.#due) this.#send();
    else this.#timer ??= setTimeout(() => this.#again(), this.#delay);
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#fresh = false;
    this.#sentAt = performance.now();
    // Nobody reads what a catch-up brings while all of its watchers lag, so it is no use to know how far it is.
    if (this.#waiting.length > 0 || !this.#feed.cursors.allLagging) this.#feed.askProgress();
    this.#timer = setTimeout(() => this.#again(), this.#delay);
    this.#delay = Math.min(this.#delay * 2, MAX_MS);
  }

  #again(): void {
    this.#timer = undefined;
    this.#next();
  }

  /** No question is under way; the next one may come soon. */
  #stop(soon = true): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (soon) this.#delay = FIRST_MS;
  }
}
