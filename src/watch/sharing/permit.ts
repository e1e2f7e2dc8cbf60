/**
 * etcd's leave for a user to watch a range on feeds that are not the user's own, for all of its watchers. Where it is not
 * known whose a token is, the token stands for its user.
 *
 *                        etcd is asked                    allowed ───▶ go on
 *   going ──────────▶ who is suspended waits for that ──▶ denied ────▶ the watches end
 *     ▲                                                   token ─────▶ nothing has changed since: go on
 *     └────────────── another token is allowed ─────────────────────▶ otherwise nothing is delivered, and the streams
 *                                                                     end one by one: their clients sign in again
 */

import type { Identity } from '../../clients/identity.ts';
import { MOST_TOKENS } from '../../clients/token-users.ts';
import type { WatchPermission } from '../../clients/watch-permission.ts';
import type { KeyRange } from '../../etcd/key-range.ts';
import type { Metadata } from '../../rpc/metadata.ts';
import { RetryDelay } from '../../rpc/retry-delay.ts';
import { Code } from '../../rpc/status.ts';
import type { Watcher, WatcherPermit } from '../watcher.ts';
import { tokenOf } from './sponsor.ts';

/** etcd's auth revision, and of which store; it stays as long as users, roles and permissions do. `undefined`: they may have changed. */
export type AuthState = bigint | undefined;

/** All permits. */
export interface PermitOwner {
  /** The one that was looked at last. */
  readonly revision: AuthState;
  /** The one of now. */
  look(): Promise<AuthState>;
  /** Asks etcd for leave. */
  ask(metadata: Metadata, range: KeyRange): Promise<WatchPermission>;
  /** Metadata that show tokens of a user, the newest first, and few. */
  tokensOf(user: string): Iterable<Metadata>;
  /** In how many milliseconds the stream of one of many ends that shall not come back all at once. */
  delay(): number;
  onEnded(why: 'denied' | 'token', watches: number): void;
  /** Nobody needs it any more. */
  onUnused(permit: Permit): void;
  onFault(error: unknown): void;
}

const NO_TOKEN = (reason: string): string =>
  `etcd-connect-proxy: etcd has to let the watch go on, and takes no token of the client: ${reason}`;

export class Permit implements WatcherPermit {
  readonly key: string;
  readonly range: KeyRange;
  /** `undefined`: that is not known, and one token is all there is. */
  readonly user: string | undefined;
  /** The one that was known when etcd was asked the last time that it said yes. */
  revision: AuthState;
  readonly #owner: PermitOwner;
  readonly #watchers = new Map<Watcher, Identity>();
  /** Those that get nothing until etcd has been asked. */
  readonly #suspended = new Set<Watcher>();
  /** Those whose streams will end. */
  readonly #ending = new Map<Watcher, NodeJS.Timeout>();
  /** What etcd has taken for nobody's. */
  readonly #refused = new WeakSet<Metadata>();
  #isWanted = false;
  #isAsking = false;
  /** Watchers have come since etcd was asked last, which has just taken their tokens. */
  #hasNewcomers = false;

  constructor(owner: PermitOwner, key: string, range: KeyRange, user: string | undefined) {
    this.#owner = owner;
    this.key = key;
    this.range = range;
    this.user = user;
  }

  /** How many watchers it is for. */
  get size(): number {
    return this.#watchers.size;
  }

  /** A watcher for which etcd has just given leave to its client's own token. */
  enter(watcher: Watcher, identity: Identity): void {
    this.#watchers.set(watcher, identity);
    this.#hasNewcomers = true;
    watcher.permit = this;
    if (this.#ending.size > 0) this.confirm();
  }

  leave(watcher: Watcher): void {
    watcher.permit = undefined;
    this.#suspended.delete(watcher);
    this.#spare(watcher);
    if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#owner.onUnused(this);
  }

  /** Lets all of its watchers go elsewhere. @param enter takes one, which waits for etcd if it did so here */
  dissolve(enter: (watcher: Watcher, identity: Identity, waits: boolean) => void): void {
    for (const [watcher, identity] of [...this.#watchers]) {
      const waits = this.#suspended.has(watcher);
      this.leave(watcher);
      enter(watcher, identity, waits);
    }
  }

  suspend(watcher: Watcher): void {
    this.#suspended.add(watcher);
    this.confirm();
  }

  /** Has etcd asked, for all who want to know: never by a question that was sent before. */
  confirm(): void {
    this.#isWanted = true;
    if (this.#isAsking) return;
    this.#isAsking = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    const delay = new RetryDelay();
    // Those who want it in the same turn ask together.
    await undefined;
    while (this.#isWanted && this.#watchers.size > 0) {
      this.#isWanted = false;
      this.#hasNewcomers = false;
      const asking = [...this.#watchers.keys()];
      const { revision } = this.#owner;
      const leave = await this.#ask();
      try {
        await this.#judge(leave, revision, asking);
      } catch (error) {
        this.#owner.onFault(error);
      }
      if (leave.kind !== 'failed' || this.#suspended.size === 0) continue;
      this.#isWanted = true;
      await new Promise((resolve) => setTimeout(resolve, delay.next()));
    }
    this.#isAsking = false;
  }

  /** Asks with one token after the other, until etcd knows one of them. */
  async #ask(): Promise<WatchPermission> {
    let answer: WatchPermission = { kind: 'failed' };
    for (const metadata of this.#candidates()) {
      answer = await this.#owner.ask(metadata, this.range);
      if (answer.kind === 'token') this.#refused.add(metadata);
      else if (answer.kind !== 'failed') this.#refused.delete(metadata);
      if (answer.kind !== 'token') break;
    }
    return answer;
  }

  /**
   * Tokens of its own watchers first, which etcd has taken when they began, then others of the user. Those that etcd has
   * refused are asked with where there are no others: they may be good at another member.
   */
  #candidates(): Iterable<Metadata> {
    const found = new Map<string, Metadata>();
    this.#addOwn(found, false);
    if (this.user !== undefined)
      for (const metadata of this.#owner.tokensOf(this.user)) found.set(tokenOf(metadata), metadata);
    if (found.size === 0) this.#addOwn(found, true);
    return found.values();
  }

  /** Adds tokens of its watchers, the newest first, {@link MOST_TOKENS} at most. */
  #addOwn(found: Map<string, Metadata>, refused: boolean): void {
    for (const { metadata } of [...this.#watchers.values()].reverse()) {
      if (found.size >= MOST_TOKENS) return;
      if (this.#refused.has(metadata) === refused) found.set(tokenOf(metadata), metadata);
    }
  }

  /** @param asking the watchers that were there when etcd was asked */
  async #judge(leave: WatchPermission, revision: AuthState, asking: readonly Watcher[]): Promise<void> {
    if (leave.kind === 'failed') return;
    if (leave.kind === 'allowed') {
      this.revision = revision;
      this.#release(asking);
    } else if (leave.kind === 'denied') this.#end(asking, leave.reason);
    else {
      const now = await this.#owner.look();
      if (now !== undefined && now === this.revision) this.#release(asking);
      else {
        this.#endLater(asking, leave.reason);
        this.#isWanted ||= this.#hasNewcomers;
      }
    }
  }

  /** Lets watchers go on, but for those that were suspended after etcd was asked. */
  #release(asking: readonly Watcher[]): void {
    const again = this.#isWanted;
    for (const watcher of asking) {
      this.#spare(watcher);
      if (again || !this.#suspended.delete(watcher)) continue;
      this.#guard(watcher, () => watcher.release());
    }
  }

  #end(asking: readonly Watcher[], reason: string): void {
    const ended = asking.filter((watcher) => watcher.permit === this);
    this.#owner.onEnded('denied', ended.length);
    for (const watcher of ended)
      if (watcher.permit === this) this.#guard(watcher, () => watcher.sink.onDenied(watcher, reason));
  }

  /** Nothing is delivered any more, and the streams end, unless another token is allowed before. */
  #endLater(asking: readonly Watcher[], reason: string): void {
    for (const watcher of asking) {
      if (watcher.permit !== this || this.#ending.has(watcher)) continue;
      this.#suspended.add(watcher);
      this.#guard(watcher, () => watcher.feed?.hold(watcher));
      const end = (): void => {
        this.#owner.onEnded('token', 1);
        this.#guard(watcher, () => watcher.sink.fail(Code.UNAVAILABLE, NO_TOKEN(reason)));
      };
      this.#ending.set(watcher, setTimeout(end, this.#owner.delay()).unref());
    }
  }

  #spare(watcher: Watcher): void {
    clearTimeout(this.#ending.get(watcher));
    this.#ending.delete(watcher);
  }

  #guard(watcher: Watcher, act: () => void): void {
    try {
      act();
    } catch (error) {
      watcher.sink.onFault(error);
    }
  }
}
