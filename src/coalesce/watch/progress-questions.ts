/**
 * Asks etcd how far a feed has come, for all who want to know at a time: one question under way, one gathering
 * behind it. etcd passes over a question while the watch lags behind, so it is asked again after a while; and since
 * answers look alike, those to questions from before a round are counted off first.
 */
import type { Feed } from './feed.ts';

const FIRST_MS = 100;
const MAX_MS = 2000;

export class ProgressQuestions {
  readonly #feed: Feed;
  #asked: (() => void)[] | undefined;
  #gathering: (() => void)[] = [];
  /** Questions on the present stream that were not answered. */
  #open = 0;
  /** How many answers may still be to questions of earlier rounds. */
  #stale = 0;
  #catchingUp = false;
  #timer: NodeJS.Timeout | undefined;
  #delay = FIRST_MS;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** Calls back when the feed's applied revision is as new as etcd's member can say from now on. */
  ask(done: () => void): void {
    if (this.#feed.state === 'ended') {
      done();
      return;
    }
    this.#gathering.push(done);
    this.#next();
  }

  /** Keeps asking while the feed catches up with its target. */
  catchUp(): void {
    this.#catchingUp = true;
    this.#next();
  }

  /** More is known about the member. If its answers are worth nothing, nobody waits for them any more. */
  look(): void {
    if (this.#asked !== undefined && this.#feed.memberKnown && !this.#feed.progressIsSafe) this.#putBack();
    this.#next();
  }

  /** The stream is up again: questions on the old one are forgotten. */
  resume(): void {
    this.#open = 0;
    this.#stale = 0;
    this.#putBack();
    this.#next();
  }

  /** A progress response came; a periodic one answers no question. */
  answered(periodic: boolean): void {
    if (periodic) return;
    this.#open = Math.max(0, this.#open - 1);
    if (this.#stale > 0) {
      this.#stale--;
      return;
    }
    const asked = this.#asked ?? [];
    this.#asked = undefined;
    this.#delay = FIRST_MS;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const done of asked) done();
    this.#next();
  }

  /** No answer will come: whoever waits looks for himself. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = (this.#asked ?? []).concat(this.#gathering);
    this.#asked = undefined;
    this.#gathering = [];
    for (const done of waiting) done();
  }

  /** The question under way will not be answered: it is asked anew with those that gather. */
  #putBack(): void {
    this.#delay = FIRST_MS;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#gathering = (this.#asked ?? []).concat(this.#gathering);
    this.#asked = undefined;
  }

  #next(): void {
    if (this.#feed.target === undefined) this.#catchingUp = false;
    if (this.#asked !== undefined || (this.#gathering.length === 0 && !this.#catchingUp)) return;
    if (this.#feed.state !== 'live') return;
    if (!this.#feed.memberKnown) {
      this.#feed.learnMember();
      return;
    }
    if (!this.#feed.progressIsSafe) {
      const waiting = this.#gathering;
      this.#gathering = [];
      for (const done of waiting) done();
      return;
    }
    this.#asked = this.#gathering;
    this.#gathering = [];
    this.#stale = this.#open;
    this.#send();
  }

  #send(): void {
    if (this.#feed.state !== 'live') return;
    // Another feed may have lost its stream since, and with it everybody what was known of members.
    if (!this.#feed.memberKnown) this.#feed.learnMember();
    this.#open++;
    this.#feed.askProgress();
    this.#timer = setTimeout(() => this.#send(), this.#delay);
    this.#delay = Math.min(this.#delay * 2, MAX_MS);
  }
}
