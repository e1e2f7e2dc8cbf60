/**
 * Opens further connections to the endpoint in use, for each kind of traffic one at a time. What is in front of etcd may refuse
 * them, or close them at once: then the next one is tried after a while that grows each time, as long as calls wait for it.
 */
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { Backoff } from '../rpc/backoff.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import type { Traffic } from './traffic.ts';

/** What further connections are for, and who uses them. */
export interface GrowthOwner {
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  onGrown(traffic: Traffic, endpoint: Endpoint, dial: Dial, connection: Http2Connection): void;
  onDialFailed(cause: string): void;
  /** After attempts that failed the next one may begin: does anybody wait for it? */
  onRested(): void;
  onLimit(limit: string): void;
  onFault(error: unknown): void;
}

/** Delays after an attempt that failed, and after a connection that did not live long. Milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 1500;

export class Growth {
  readonly #owner: GrowthOwner;
  readonly #dials = new Map<Traffic, Dial>();
  readonly #retries = new Backoff(FIRST_RETRY_MS, LAST_RETRY_MS);
  #rest: NodeJS.Timeout | undefined;

  constructor(owner: GrowthOwner) {
    this.#owner = owner;
  }

  /** Opens one more, unless one is being opened or the latest attempt failed just now. */
  begin(traffic: Traffic, endpoint: Endpoint): void {
    if (this.#dials.has(traffic) || this.#rest !== undefined) return;
    const dial = this.#owner.dial(endpoint, {
      onConnected: (connection) => {
        this.#dials.delete(traffic);
        this.#owner.onGrown(traffic, endpoint, dial, connection);
      },
      onFailed: (cause) => {
        this.#dials.delete(traffic);
        this.#startRest();
        this.#owner.onDialFailed(cause);
      },
      onLost: () => {}, // not before it is connected
      onSpent: () => {},
      onStreamSlots: () => {},
      onLimit: (limit) => this.#owner.onLimit(limit),
      onFault: (error) => this.#owner.onFault(error),
      pingsIdle: () => false,
    });
    this.#dials.set(traffic, dial);
  }

  /** One of several connections is lost. @param settled it was of use for a while */
  onLost(settled: boolean): void {
    if (settled) this.#retries.reset();
    else this.#startRest();
  }

  /** Ends the attempts. What was in the way of them says nothing of another endpoint. */
  close(): void {
    for (const dial of this.#dials.values()) dial.close();
    this.#dials.clear();
    clearTimeout(this.#rest);
    this.#rest = undefined;
    this.#retries.reset();
  }

  #startRest(): void {
    if (this.#rest !== undefined) return;
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      this.#owner.onRested();
    }, this.#retries.next()).unref();
  }
}
