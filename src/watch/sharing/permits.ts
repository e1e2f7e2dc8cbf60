/**
 * START HERE for the leave by which watches of clients ride on feeds that are not their own. etcd gives it to a client when
 * its watch begins. It is asked again
 *
 *   when the feed has lost its stream   a client's own would have broken; nothing is delivered before the answer
 *   every `--watch-reauthorize`         where users, roles or permissions may have changed meanwhile
 *   when they change through this proxy
 *
 *   Permit    for one user, or one token, and one range: one question for all of its watches
 *   Sponsor   whose token feeds carry;  Circles   which feeds serve a client
 */
import type { AuthRevision } from '../../clients/auth-revision.ts';
import type { Identity } from '../../clients/identity.ts';
import type { ReadAs } from '../../clients/probes.ts';
import type { TokenUsers } from '../../clients/token-users.ts';
import { askWatchPermission, type WatchPermission } from '../../clients/watch-permission.ts';
import type { KeyRange } from '../../etcd/key-range.ts';
import type { Metadata } from '../../rpc/metadata.ts';
import { Semaphore, type TurnTaker } from '../semaphore.ts';
import type { Watcher } from '../watcher.ts';
import { type AuthState, Permit, type PermitOwner } from './permit.ts';
import { tokenOf, UserSponsor } from './sponsor.ts';

/** etcd's auth revision: see {@link AuthRevision}. */
export type RevisionSource = Pick<AuthRevision, 'current'>;

/** What permits are asked for by. */
export interface PermitsOptions {
  readonly read: ReadAs;
  readonly users: TokenUsers;
  readonly revision: RevisionSource;
  /** How often etcd is asked, in milliseconds; zero: when a feed has lost its stream only. */
  readonly intervalMs: number;
  readonly onFault: (error: unknown) => void;
}

/** Questions that are under way at a time; others wait, for so many milliseconds each at most. */
const AT_ONCE = 64;
const TURN_MS = 5000;

/** After so many milliseconds etcd is asked again before a watch begins. */
const LEAVE_MS = 1000;

/** Changes of users, and new permits, are looked at together when so many milliseconds have passed. */
const SOON_MS = 500;

/**
 * Streams that end for want of a token end over so many milliseconds at most: until then they are silent, and their clients know
 * of nothing.
 */
const MOST_SPREAD_MS = 60_000;

/** Above these bits of an auth state is the store that the revision is of. */
const REVISION_BITS = 64n;

/** What the permits count. */
export class PermitStats {
  /** Questions to etcd, by its answer. */
  readonly confirmations: Record<WatchPermission['kind'], number> = {
    allowed: 0,
    denied: 0,
    token: 0,
    failed: 0,
  };
  /** Watches that ended for want of leave: etcd denied it, or takes no token of the client. */
  readonly ended = { denied: 0, token: 0 };
}

export class Permits implements PermitOwner {
  readonly stats = new PermitStats();
  revision: AuthState;
  readonly #options: PermitsOptions;
  readonly #permits = new Map<string, Permit>();
  readonly #turns = new Semaphore(AT_ONCE, TURN_MS);
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  /** Those that etcd had, as far as feeds have seen. */
  #stores = 0;
  /** Something has changed, so that soon all are asked about, and not only what is new. */
  #changed = false;

  constructor(options: PermitsOptions) {
    this.#options = options;
  }

  /** Users and ranges of which watches are on shared feeds. */
  get size(): number {
    return this.#permits.size;
  }

  /**
   * A watcher begins on feeds that are not its client's own: etcd has allowed the client its range.
   * @param at when, in milliseconds of `performance.now()`: a client that does not read may have let the answer wait for long
   */
  enter(watcher: Watcher, identity: Identity, at: number): void {
    const permit = this.#permitOf(identity, watcher.range);
    permit.enter(watcher, identity);
    if (performance.now() - at < LEAVE_MS) return;
    watcher.held = true;
    permit.suspend(watcher);
  }

  /**
   * A user was deleted, or has another password: who shows the tokens of the same name from now on may be somebody else. Each
   * of the user's watches is judged by its own token from now on, which etcd does not know any more.
   */
  onUserChanged(user: string): void {
    this.#options.users.forgetUser(user);
    for (const permit of [...this.#permits.values()]) {
      if (permit.user !== user) continue;
      permit.dissolve((watcher, identity, waits) => {
        const own = this.#permitOf(identity, watcher.range);
        own.enter(watcher, identity);
        if (waits) own.suspend(watcher);
      });
    }
  }

  /** Users, roles or permissions have changed through this proxy. */
  onChanged(): void {
    if (this.#permits.size > 0) this.#lookSoon(true);
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
  }

  /** Another cluster is there, or one that was set back: its auth revisions are not those of before, though equal. */
  onOtherStore(): void {
    this.#stores++;
    this.revision = undefined;
    this.onChanged();
  }

  async look(): Promise<AuthState> {
    const store = this.#stores;
    const revision = await this.#options.revision.current();
    const isSame = store === this.#stores && revision !== undefined;
    this.revision = isSame ? (BigInt(store) << REVISION_BITS) + revision : undefined;
    return this.revision;
  }

  async ask(metadata: Metadata, range: KeyRange): Promise<WatchPermission> {
    const turn = await this.#turn();
    try {
      const leave = await askWatchPermission(this.#options.read, metadata, range);
      this.stats.confirmations[leave.kind]++;
      if (leave.kind === 'token') this.#options.users.forget(tokenOf(metadata));
      return leave;
    } finally {
      this.#turns.leave(turn);
    }
  }

  *tokensOf(user: string): Iterable<Metadata> {
    for (const { metadata } of this.#options.users.tokensOf(user)) yield metadata;
  }

  delay(): number {
    return Math.random() * Math.min(this.#options.intervalMs, MOST_SPREAD_MS);
  }

  onEnded(why: 'denied' | 'token', watches: number): void {
    this.stats.ended[why] += watches;
  }

  onUnused({ key }: Permit): void {
    this.#permits.delete(key);
    if (this.#permits.size === 0) this.close();
  }

  onFault(error: unknown): void {
    this.#options.onFault(error);
  }

  #permitOf(identity: Identity, range: KeyRange): Permit {
    const user = this.#options.users.userOf(identity.token);
    // No identity is the beginning of another one.
    const key = (user === undefined ? identity.id : UserSponsor.idOf(user)) + range.id;
    let permit = this.#permits.get(key);
    if (permit === undefined) {
      permit = new Permit(this, key, range, user);
      this.#permits.set(key, permit);
      this.#lookSoon(false);
      this.#start();
    }
    return permit;
  }

  #turn(): Promise<TurnTaker> {
    return new Promise((resolve) => {
      const taker: TurnTaker = { onTurn: () => resolve(taker) };
      if (this.#turns.take(taker)) resolve(taker);
    });
  }

  #start(): void {
    const { intervalMs } = this.#options;
    if (intervalMs === 0 || this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.#confirm(true), intervalMs);
    this.#timer.unref();
  }

  #lookSoon(changed: boolean): void {
    const { intervalMs } = this.#options;
    this.#changed ||= changed;
    if (intervalMs === 0 || this.#soon !== undefined) return;
    const look = (): void => {
      const all = this.#changed;
      this.#soon = undefined;
      this.#changed = false;
      void this.#confirm(all);
    };
    this.#soon = setTimeout(look, Math.min(SOON_MS, intervalMs));
    this.#soon.unref();
  }

  /**
   * Has etcd asked for every permit that it may have been given before something changed.
   * @param all also where it cannot be known whether anything has
   */
  async #confirm(all: boolean): Promise<void> {
    const revision = await this.look();
    for (const permit of this.#permits.values())
      if (revision === undefined ? all : permit.revision !== revision) permit.confirm();
  }
}
