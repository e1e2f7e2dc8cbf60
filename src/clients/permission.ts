/**
 * Whether a client may read what is held in memory: the one rule, for the cache and for mirrors. A feed goes on when its
 * user has lost the permission, and when auth is switched on, so etcd has to say it again and again: by a read that is
 * forwarded, or by a probe. Each yes counts for a short time from when the question was asked, and for nothing any more
 * when users, roles or auth change, or etcd says no. All times are in milliseconds of `performance.now()`.
 */

/**
 * For so long etcd's word that a client may read a range counts, from when it was asked. Milliseconds. A read that comes
 * later is not answered from memory; one that a mirror lets wait may be answered later.
 */
export const PERMISSION_MS = 1000;

/** What is left of that when it is asked again, so that reads do not have to wait for the answer. */
const AHEAD_MS = 500;

/** All permissions of clients. */
export class Permissions {
  #withdrawnAt = Number.NEGATIVE_INFINITY;

  /** Users, roles or auth may have changed: what etcd was asked until now counts no more. */
  withdraw(now: number): void {
    this.#withdrawnAt = now;
  }

  /** Whether etcd's yes counts now. @param askedAt when it was asked, or somewhat earlier */
  counts(askedAt: number, now: number): boolean {
    return askedAt > this.#withdrawnAt && now - askedAt < PERMISSION_MS;
  }
}

/** That of one client for one range; without a token, for all ranges. */
export class Permission {
  readonly #all: Permissions;
  /** When the latest question was asked that etcd said yes to. */
  #allowedAt = Number.NEGATIVE_INFINITY;
  /** When etcd said no the last time. */
  #refusedAt: number;
  #asking = false;
  #askedAt = 0;

  /** @param refusedAt when etcd refused the client before this was made */
  constructor(all: Permissions, refusedAt = Number.NEGATIVE_INFINITY) {
    this.#all = all;
    this.#refusedAt = refusedAt;
  }

  /** Whether etcd has allowed it lately. */
  has(now: number): boolean {
    return this.#all.counts(this.#allowedAt, now);
  }

  /** Whether it is time to ask etcd again. */
  isDue(now: number): boolean {
    return !this.#asking && !this.#all.counts(this.#allowedAt, now + AHEAD_MS);
  }

  /** etcd has allowed what it was asked at a time. What it was asked before it refused the client does not count. */
  grant(askedAt: number): void {
    if (askedAt > this.#refusedAt && askedAt > this.#allowedAt) this.#allowedAt = askedAt;
  }

  /** etcd refuses the client, whenever it was asked: what was asked until now counts no more. */
  refuse(now: number): void {
    this.#refusedAt = now;
    this.#allowedAt = Number.NEGATIVE_INFINITY;
  }

  /** etcd is being asked ahead of time. */
  onAsked(now: number): void {
    this.#asking = true;
    this.#askedAt = now;
  }

  /** What etcd said to that; `undefined`: nothing. */
  onAnswered(allowed: boolean | undefined, now: number): void {
    this.#asking = false;
    if (allowed === true) this.grant(this.#askedAt);
    else if (allowed === false) this.refuse(now);
  }
}
