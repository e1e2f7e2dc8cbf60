/**
 * Keeps the proxy's own entry in etcd: whoever looks there finds the proxy while it lives.
 *
 *     grant ──▶ put ──▶ heartbeats, and a watch of the key
 *       ▲        ▲          │ key deleted
 *       │        └──────────┤
 *       └── lease is gone ──┘            stop: the lease is revoked, and the key is gone with it
 */
import { Backoff } from '../rpc/backoff.ts';
import { RpcError } from '../rpc/status.ts';
import { MAX_TIMER_MS } from '../rpc/timer.ts';
import type { IdentityFeeds } from '../watch/identity-feeds.ts';
import { KeyWatch } from './key-watch.ts';
import { CALL_MS, type EntryEtcd, type EntryOptions, LeasedEntry } from './leased-entry.ts';
import type { Loss, MembersStats } from './stats.ts';

/** Between attempts, in milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;

/** A registration that stood for so long was a good one: its loss is the first of a row. Milliseconds. */
const STOOD_MS = 10_000;

/** How long stopping waits for etcd to take the entry out; then it goes with its lease. Milliseconds. */
const REVOKE_MS = 2000;

/** After a heartbeat that failed, the next one comes this much later at the latest. Milliseconds. */
const BEAT_AGAIN_MS = 500;

/** Heartbeats in the time that a lease has, as etcd's client for Go sends them. */
const BEATS = 3;

/** Hears what operators should know. */
export interface RegistrationObserver {
  /** @param ttl in seconds, as etcd granted it */
  onRegistered(address: string, ttl: number): void;
  /** It did not work, and is tried again. */
  onFailed(error: RpcError): void;
  onLost(loss: Loss): void;
  /** The proxy stops, and its entry is gone, of which `onRegistered` was told. */
  onDeregistered(address: string): void;
  /** The proxy stops, and its entry stays until its lease ends. */
  onLeftBehind(error: RpcError): void;
}

/** How etcd is reached. */
export interface RegistrationEtcd extends EntryEtcd {
  /** The feeds of the user that the proxy is to etcd now. */
  readonly feeds: () => IdentityFeeds;
}

export class Registration {
  readonly #options: EntryOptions;
  readonly #etcd: RegistrationEtcd;
  readonly #stats: MembersStats;
  readonly #observer: RegistrationObserver;
  readonly #entry: LeasedEntry;
  readonly #backoff = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  #watch: KeyWatch | undefined;
  /** When the present registration began, in milliseconds of `performance.now()`. Undefined: there is none. */
  #registeredAt: number | undefined;
  #beatFailed = false;
  #stopped = false;
  /** Ends the present wait. */
  #wake: () => void = () => {};

  constructor(
    options: EntryOptions,
    etcd: RegistrationEtcd,
    stats: MembersStats,
    observer: RegistrationObserver,
  ) {
    this.#options = options;
    this.#etcd = etcd;
    this.#stats = stats;
    this.#observer = observer;
    this.#entry = new LeasedEntry(options, etcd);
  }

  /** Registers, and stays registered. Never throws. */
  start(): void {
    void this.#keep();
  }

  /** Takes the entry out of etcd, for which it waits some seconds at most, and registers no more. Never rejects. */
  async deregister(): Promise<void> {
    if (this.#stopped) return;
    this.close();
    const late = Promise.withResolvers<never>();
    // A call may wait for a new token as well.
    const timer = setTimeout(() => late.reject(RpcError.deadlineExceeded()), REVOKE_MS);
    try {
      await Promise.race([late.promise, this.#entry.revoke(REVOKE_MS)]);
      if (this.#stats.registrations > 0) this.#observer.onDeregistered(this.#options.address);
    } catch (thrown) {
      if (this.#entry.mayBeThere) this.#observer.onLeftBehind(RpcError.from(thrown));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Registers no more. The entry stays until its lease ends. */
  close(): void {
    this.#stopped = true;
    this.#leave();
    this.#etcd.calls.cancel();
    this.#wake();
  }

  async #keep(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#register();
        while (await this.#stands());
      } catch (thrown) {
        this.#failed(thrown);
      }
      if (this.#hasStood()) this.#backoff.reset();
      this.#leave();
      await this.#rest(this.#backoff.next());
    }
  }

  /** Whether this attempt was a good one: what fails after it is the first of a row. */
  #hasStood(): boolean {
    return this.#registeredAt !== undefined && performance.now() - this.#registeredAt > STOOD_MS;
  }

  async #register(): Promise<void> {
    const revision = await this.#entry.put();
    if (this.#stopped) return;
    this.#registeredAt = performance.now();
    this.#beatFailed = false;
    this.#stats.registered = true;
    this.#stats.registrations++;
    this.#observer.onRegistered(this.#options.address, this.#entry.ttl);
    this.#follow(revision);
  }

  /** Hears of the key from now on. */
  #follow(revision: number): void {
    if (this.#stopped) return;
    const key = this.#options.key.toString('latin1');
    this.#watch?.stop();
    this.#watch = new KeyWatch(this.#etcd.feeds(), key, revision, () => {
      if (!this.#stats.registered) return;
      this.#lost('key');
      this.#wake();
    });
  }

  /** Waits until the next heartbeat is due, and sends it. @returns whether lease and key are still there */
  async #stands(): Promise<boolean> {
    const beat = (this.#entry.ttl * 1000) / BEATS;
    if (this.#stats.registered) await this.#rest(this.#beatFailed ? Math.min(beat, BEAT_AGAIN_MS) : beat);
    if (!this.#stats.registered) return false;
    try {
      await this.#beat(Math.min(CALL_MS, Math.max(beat, BEAT_AGAIN_MS)));
      this.#beatFailed = false;
    } catch (thrown) {
      this.#beatFailed = true;
      this.#failed(thrown);
    }
    return this.#stats.registered;
  }

  async #beat(ms: number): Promise<void> {
    if (!(await this.#entry.beat(ms))) this.#lost('lease');
    // Where nobody tells whether the key is still there, it is put again.
    else if (this.#watch?.alive === false) this.#follow(await this.#entry.put());
  }

  /** Waits so many milliseconds, or until woken. */
  async #rest(ms: number): Promise<void> {
    if (this.#stopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS));
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  #failed(thrown: unknown): void {
    if (this.#stopped) return;
    this.#stats.failures++;
    this.#observer.onFailed(RpcError.from(thrown));
  }

  #lost(loss: Loss): void {
    if (!this.#stats.registered) return;
    this.#stats.registered = false;
    this.#stats.losses[loss]++;
    this.#observer.onLost(loss);
  }

  #leave(): void {
    this.#stats.registered = false;
    this.#registeredAt = undefined;
    this.#watch?.stop();
    this.#watch = undefined;
  }
}
