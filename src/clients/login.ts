/**
 * A user in etcd that the proxy is, or signs in for clients: nobody until etcd demands somebody. The token is got when etcd first refuses a call
 * without it, and anew when etcd does not know it any more: tokens end with their time, with the member's process, and
 * with changes of permissions. One that says when it ends is replaced before that. One that does not (a simple token)
 * is kept alive by etcd while it is used.
 */

import { OWN_METADATA } from '../etcd/own-metadata.ts';
import { isOutage } from '../etcd/statuses.ts';
import { endOfToken } from '../etcd/token.ts';
import { saysAuthIsOff, wantsToken } from '../etcd/words.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { RpcError } from '../rpc/status.ts';
import { MAX_TIMER_MS } from '../rpc/timer.ts';

/** Gets a token, as the metadata that shows it. @throws RpcError as etcd does */
export type Authenticate = () => Promise<Metadata>;

/** Is told what became of each attempt to sign in. */
export interface LoginObserver {
  onSignedIn(): void;
  /** @param error names neither password nor token */
  onFailed(error: RpcError): void;
}

/** After a refusal, how long nobody tries again: checking a password is costly for etcd. Milliseconds. */
const PAUSE_MS = 10_000;

/** The same after a failure of etcd or of the way to it, which asking again does not make worse. Milliseconds. */
const OUTAGE_PAUSE_MS = 500;

/** A token is replaced when this part of its life is over. */
const RENEW_AT = 0.75;

const NO_OBSERVER: LoginObserver = { onSignedIn: () => {}, onFailed: () => {} };

/** How a user is kept signed in. */
export interface LoginOptions {
  readonly observer?: LoginObserver;
  /** A token that nobody has used is not replaced before it ends: there may be many such users. */
  readonly lapses?: boolean;
}

export class Login {
  readonly #authenticate: Authenticate | undefined;
  readonly #observer: LoginObserver;
  readonly #lapses: boolean;
  #metadata: Metadata = OWN_METADATA;
  /** Since the token was got. */
  #used = false;
  #renewing: Promise<void> | undefined;
  #failure: { readonly until: number; readonly error: RpcError } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param authenticate `undefined`: the proxy has no user, and stays nobody */
  constructor(authenticate: Authenticate | undefined, options: LoginOptions = {}) {
    this.#authenticate = authenticate;
    this.#observer = options.observer ?? NO_OBSERVER;
    this.#lapses = options.lapses ?? false;
  }

  /** What shows who the user is; without a token for nobody. */
  get metadata(): Metadata {
    this.#used = true;
    return this.#metadata;
  }

  /** Whether there is a user to be. */
  get hasUser(): boolean {
    return this.#authenticate !== undefined;
  }

  /** Makes a call as the user; once more with a new token if etcd does not take the present one. */
  async run<T>(call: (metadata: Metadata) => Promise<T>): Promise<T> {
    const used = this.metadata;
    try {
      return await call(used);
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (!wantsToken(error) || !(await this.renew(used))) throw error;
      return call(this.metadata);
    }
  }

  /**
   * etcd does not take these metadata of the user's: gets others, unless there are some already. One new token serves all
   * calls that were refused at the same time.
   * @returns whether there are others now
   * @throws RpcError where none can be had; soon after such a failure the same one, without asking again
   */
  async renew(used: Metadata): Promise<boolean> {
    if (this.#authenticate === undefined) return false;
    if (this.#metadata === used) await this.#renewed(this.#authenticate);
    return this.#metadata !== used;
  }

  /** Gets no tokens ahead of time any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #renewed(authenticate: Authenticate): Promise<void> {
    if (this.#failure !== undefined && performance.now() < this.#failure.until)
      return Promise.reject(this.#failure.error);
    this.#renewing ??= this.#signIn(authenticate).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #signIn(authenticate: Authenticate): Promise<void> {
    try {
      this.#use(authenticate, await authenticate());
      this.#failure = undefined;
      this.#observer.onSignedIn();
    } catch (thrown) {
      const error = RpcError.from(thrown);
      if (saysAuthIsOff(error)) {
        this.#use(authenticate, OWN_METADATA);
        return;
      }
      const pause = isOutage(error) ? OUTAGE_PAUSE_MS : PAUSE_MS;
      this.#failure = { until: performance.now() + pause, error };
      this.#observer.onFailed(error);
      throw error;
    }
  }

  /** Has it replaced in time, where it says when it ends. By a clock that goes wrong it has ended: etcd will say so. */
  #use(authenticate: Authenticate, metadata: Metadata): void {
    this.#metadata = metadata;
    this.#used = false;
    clearTimeout(this.#timer);
    const end = endOfToken(metadata.get('token') ?? '');
    if (end === undefined) return;
    const left = end - Date.now();
    if (left > 0) this.#renewIn(left * RENEW_AT, authenticate);
  }

  #renewIn(ms: number, authenticate: Authenticate): void {
    if (this.#closed) return;
    const renew = () => {
      if (this.#lapses && !this.#used) return;
      // The observer has heard of a failure; the present token is good until etcd says otherwise.
      this.#renewed(authenticate).catch(() => this.#renewIn(PAUSE_MS, authenticate));
    };
    this.#timer = setTimeout(renew, Math.min(ms, MAX_TIMER_MS));
    this.#timer.unref();
  }
}
