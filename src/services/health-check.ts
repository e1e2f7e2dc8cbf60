/**
 * Asks the cluster through the proxy's own handlers whether it can be used: with the read that clients would
 * send, and with a watch that must be confirmed. Simultaneous checks share one.
 *
 * It asks as the proxy's own user where there is one. But health is no matter of credentials: etcd refuses nobody before
 * it has caught up, so any refusal will do, and no check waits until the user has signed in.
 */
import { KV, Watch } from '../etcd/methods.ts';
import { rangeRequest } from '../etcd/range-request.ts';
import { simpleCreateRequest } from '../etcd/watch-request.ts';
import { isRefusedForCredentials, wantsToken } from '../etcd/words.ts';
import type { ServerStream, ServerStreamListener, Services } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { OwnCall } from '../rpc/own-call.ts';
import type { HealthReport } from '../rpc/pages.ts';
import { DEADLINE_EXCEEDED, RpcError, type Status } from '../rpc/status.ts';

/** The incumbent's limits, in milliseconds. */
const READ_TIMEOUT_MS = 1000;
const WATCH_TIMEOUT_MS = 3000;

/** The key that the incumbent's health check reads. */
const KEY = 'a';
const READ = rangeRequest({ key: KEY, countOnly: true });
const WATCH = simpleCreateRequest(Buffer.from(KEY));

/** The proxy's own user in etcd, or nobody. */
export interface OwnUser {
  readonly metadata: Metadata;
  /** Gets other metadata in place of these, that etcd did not take. */
  renew(used: Metadata): Promise<boolean>;
}

/** The checks: with a read alone, and with a read and a watch. */
export class HealthCheck {
  readonly #services: Services;
  readonly #user: OwnUser;
  #read: Promise<HealthReport> | undefined;
  #watch: Promise<HealthReport> | undefined;

  constructor(services: Services, user: OwnUser) {
    this.#services = services;
    this.#user = user;
  }

  /** A linearizable read that has to come back in a second. Never rejects. */
  check(): Promise<HealthReport> {
    this.#read ??= this.#checkRead().finally(() => {
      this.#read = undefined;
    });
    return this.#read;
  }

  /** The same, and a watch that has to be confirmed in three seconds. Never rejects. */
  checkProxy(): Promise<HealthReport> {
    this.#watch ??= this.#checkReadAndWatch().finally(() => {
      this.#watch = undefined;
    });
    return this.#watch;
  }

  async #checkRead(): Promise<HealthReport> {
    const { path } = KV.Range;
    const { metadata } = this.#user;
    const call = new OwnCall(this.#services.method(path), metadata, performance.now() + READ_TIMEOUT_MS);
    try {
      await call.inTime(this.#services.unary(path)?.(READ, call));
    } catch (error) {
      const status = RpcError.from(error);
      const reason = call.cancelled ? DEADLINE_EXCEEDED : status.message;
      if (wantsToken(status)) this.#signIn(metadata);
      // Only a working cluster refuses a caller without credentials.
      if (!isRefusedForCredentials(status)) return { health: false, reason: `GET ERROR:${reason}` };
    }
    return { health: true, reason: '' };
  }

  /** For the next check. */
  #signIn(used: Metadata): void {
    this.#user.renew(used).catch(() => {
      // The user's observer has heard of it; health is no matter of credentials.
    });
  }

  async #checkReadAndWatch(): Promise<HealthReport> {
    const health = await this.check();
    if (!health.health) return health;
    const confirmed = await new Promise<boolean>(
      (resolve) => new CheckWatch(this.#services, this.#user.metadata, resolve),
    );
    return confirmed ? health : { health: false, reason: 'WATCH TIMEOUT' };
  }
}

const ignore = (): void => {};

/** A watch that is given up as soon as anything answers it, be it a refusal. */
class CheckWatch implements ServerStream {
  listener: ServerStreamListener = {
    onMessage: ignore,
    onHalfClose: ignore,
    onDrain: ignore,
    onCancel: ignore,
  };
  readonly #resolve: (confirmed: boolean) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(services: Services, metadata: Metadata, resolve: (confirmed: boolean) => void) {
    this.#resolve = resolve;
    const { path } = Watch.Watch;
    services.stream(path)(this, new OwnCall(services.method(path), metadata, Number.POSITIVE_INFINITY));
    this.#timer = setTimeout(() => this.#settle(false), WATCH_TIMEOUT_MS);
    this.listener.onMessage(WATCH);
  }

  send(): boolean {
    this.#settle(true);
    return true;
  }

  sendJoined(): boolean {
    return this.send();
  }

  end(status: Status): void {
    this.#settle(isRefusedForCredentials(status));
  }

  sendHeaders(): void {
    // Only a message confirms the watch.
  }

  hold(): void {
    // The proxy's own requests are few.
  }

  pause(): void {
    // One small request is sent; there is nothing to hold back.
  }

  resume(): void {
    // See pause.
  }

  #settle(confirmed: boolean): void {
    clearTimeout(this.#timer);
    this.#resolve(confirmed);
    this.listener.onCancel();
  }
}
