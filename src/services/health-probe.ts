/**
 * Asks the cluster through the proxy's own handlers whether it can be used: with the read that clients would
 * send, and with a watch that must be confirmed. Simultaneous checks share one.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { ServerStream, ServerStreamListener, Services } from '../rpc/contract.ts';
import { NO_METADATA } from '../rpc/metadata.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, DEADLINE_EXCEEDED, RpcError, type Status } from '../rpc/status.ts';

/** The answer to a health check, in the form of etcd's `/health`. */
export interface Health {
  readonly health: boolean;
  /** Empty when healthy. */
  readonly reason: string;
}

/** The incumbent's limits, in milliseconds. */
const READ_TIMEOUT_MS = 1000;
const WATCH_TIMEOUT_MS = 3000;

/** Refusals that only a working cluster gives to a caller without credentials. */
const REFUSALS: ReadonlySet<number> = new Set([
  Code.PERMISSION_DENIED,
  Code.UNAUTHENTICATED,
  Code.INVALID_ARGUMENT,
]);

/** The key that the incumbent's health check reads. */
const KEY = Buffer.from('a');
/** `RangeRequest{key, count_only: true}` and `WatchRequest{create_request: {key}}`. */
const READ = new BinaryWriter().uint32(0x0a).bytes(KEY).uint32(0x48).bool(true).finish();
const WATCH = new BinaryWriter().uint32(0x0a).fork().uint32(0x0a).bytes(KEY).join().finish();

export class HealthProbe {
  readonly #services: Services;
  #read: Promise<Health> | undefined;
  #watch: Promise<Health> | undefined;

  constructor(services: Services) {
    this.#services = services;
  }

  /** A linearizable read that has to come back in a second. Never rejects. */
  check(): Promise<Health> {
    this.#read ??= this.#checkRead().finally(() => {
      this.#read = undefined;
    });
    return this.#read;
  }

  /** The same, and a watch that has to be confirmed in three seconds. Never rejects. */
  checkProxy(): Promise<Health> {
    this.#watch ??= this.#checkReadAndWatch().finally(() => {
      this.#watch = undefined;
    });
    return this.#watch;
  }

  async #checkRead(): Promise<Health> {
    const path = '/etcdserverpb.KV/Range';
    const call = new OwnCall(this.#services.method(path), NO_METADATA, performance.now() + READ_TIMEOUT_MS);
    try {
      await call.inTime(this.#services.unary(path)?.(READ, call));
    } catch (error) {
      const { code, message } = RpcError.from(error);
      const reason = call.cancelled ? DEADLINE_EXCEEDED : message;
      if (!REFUSALS.has(code)) return { health: false, reason: `GET ERROR:${reason}` };
    }
    return { health: true, reason: '' };
  }

  async #checkReadAndWatch(): Promise<Health> {
    const health = await this.check();
    if (!health.health) return health;
    const confirmed = await new Promise<boolean>((resolve) => new ProbeWatch(this.#services, resolve));
    return confirmed ? health : { health: false, reason: 'WATCH TIMEOUT' };
  }
}

const ignore = (): void => {};

/** A watch that is given up as soon as anything answers it, be it a refusal. */
class ProbeWatch implements ServerStream {
  listener: ServerStreamListener = {
    onMessage: ignore,
    onHalfClose: ignore,
    onDrain: ignore,
    onCancel: ignore,
  };
  readonly #resolve: (confirmed: boolean) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(services: Services, resolve: (confirmed: boolean) => void) {
    this.#resolve = resolve;
    const path = '/etcdserverpb.Watch/Watch';
    services.stream(path)(this, new OwnCall(services.method(path), NO_METADATA, Number.POSITIVE_INFINITY));
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
    this.#settle(REFUSALS.has(status.code));
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
