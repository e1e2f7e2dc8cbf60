/**
 * Whether a client may read what is remembered for it. A feed goes on when its user has lost the permission, and when
 * auth is switched on, so etcd has to say it again and again: by a read that is forwarded, or by a count in the
 * background. Nothing is served that was allowed longer ago than {@link PERMISSION_MS}.
 */
import { PERMISSION_MS } from './permission-time.ts';

/** What is left of that when it is asked again, so that reads do not have to wait for the answer. */
const AHEAD_MS = 500;

/** All times are in milliseconds of `performance.now()`. */
export class Permission {
  #until = Number.NEGATIVE_INFINITY;
  #withdrawnAt: number;
  #asking = false;
  #askedAt = 0;

  /** @param withdrawnAt what etcd was asked until then does not count */
  constructor(withdrawnAt: number) {
    this.#withdrawnAt = withdrawnAt;
  }

  /** Whether etcd has allowed it lately. */
  has(now: number): boolean {
    return now < this.#until;
  }

  /** Whether it is time to ask etcd again. */
  isDue(now: number): boolean {
    return now >= this.#until - AHEAD_MS && !this.#asking;
  }

  /** etcd has allowed what it was asked at a time. */
  grant(askedAt: number): void {
    if (askedAt > this.#withdrawnAt) this.#until = Math.max(this.#until, askedAt + PERMISSION_MS);
  }

  /** What etcd was asked until now counts no more. */
  withdraw(now: number): void {
    this.#withdrawnAt = now;
    this.#until = Number.NEGATIVE_INFINITY;
  }

  /** etcd is being asked. */
  asked(now: number): void {
    this.#asking = true;
    this.#askedAt = now;
  }

  /**
   * What etcd said to that; `undefined`: nothing.
   * @returns whether the client is refused
   */
  answered(allowed: boolean | undefined): boolean {
    this.#asking = false;
    if (allowed) this.grant(this.#askedAt);
    return allowed === false && this.#askedAt > this.#withdrawnAt;
  }
}
