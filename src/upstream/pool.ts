/**
 * Chooses the connection that a call travels on. One endpoint, picked at random, serves everything until it
 * fails; then the next one does. While none answers, calls wait here, boundedly, and the pool keeps trying.
 */
import { setTimeout as schedule } from 'node:timers';
import type { Http2Connection } from '../http2/index.ts';
import { NO_STREAM_LEFT } from '../rpc/status.ts';
import { MAX_TIMER_MS } from '../rpc/timer.ts';
import { Backoff } from './backoff.ts';
import { type ConnectionOwner, Dial, type DialOptions } from './connection.ts';
import type { Endpoint } from './endpoint.ts';

/** A connection that can take a call, and whose it is. */
export interface Route {
  readonly connection: Http2Connection;
  readonly endpoint: Endpoint;
}

/** A call without a connection yet. Hears one of the two, once, unless it is withdrawn. */
export interface Waiter {
  /** When its client gives up, in milliseconds of `performance.now()`. */
  readonly deadline: number;
  /** Whether it may stay open for ever, as watches do; not every connection is for such calls. */
  readonly long: boolean;
  onRoute(route: Route): void;
  onUnavailable(cause: string): void;
}

/** Is told of changes worth a log line or a count. */
export interface PoolObserver {
  connected(endpoint: Endpoint): void;
  lost(endpoint: Endpoint, cause: string): void;
  dialFailed(cause: string): void;
  /** A call was turned away because {@link PoolOptions.maxWaiting} calls were waiting. */
  waitingFull(): void;
  /** A bound of the HTTP/2 settings was reached by etcd. */
  limitReached(limit: string): void;
  /** A fault of the program surfaced on a connection to etcd. */
  fault(error: unknown): void;
}

export interface PoolOptions extends DialOptions {
  readonly endpoints: readonly Endpoint[];
  /** Milliseconds for one connection attempt, and for an outage before waiting calls fail. */
  readonly dialTimeout: number;
  /** Calls that may wait at a time. */
  readonly maxWaiting: number;
  /** Connections to the endpoint in use, opened when the ones before are at etcd's stream limit; the last for short calls. */
  readonly maxConnections: number;
  readonly observer: PoolObserver;
}

/** A waiting call fails this long before its client gives up, so that the client learns why. Milliseconds. */
const DEADLINE_MARGIN_MS = 50;

/** A connection that lived shorter than this counts as a failed attempt. Milliseconds. */
const SETTLED_MS = 1000;

export class Pool {
  readonly #options: PoolOptions;
  readonly #waiters = new Map<Waiter, NodeJS.Timeout | undefined>();
  readonly #backoff = new Backoff();
  #routes: Route[] = [];
  #dials = new Set<Dial>();
  /** Endpoints left to try in this round; the round is over when it is empty and no dial is under way. */
  #untried: Endpoint[];
  #dialing = false;
  #retry: NodeJS.Timeout | undefined;
  #downSince = performance.now();
  #connectedAt = 0;
  #cause = 'not connected yet';
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#untried = shuffled(options.endpoints);
  }

  /** Starts connecting. etcd need not be up. */
  start(): void {
    this.#dialNext();
  }

  /** Whether a call could be sent now. */
  get connected(): boolean {
    return this.#routes.length > 0;
  }

  /** The connection to use now, if there is one; calls that stay leave one of them to those that do not. */
  route({ long }: Pick<Waiter, 'long'>): Route | undefined {
    const usable = Math.min(this.#routes.length, this.#connectionsFor(long));
    for (let i = 0; i < usable; i++) {
      const route = this.#routes[i] as Route;
      if (route.connection.canOpenStream) return route;
    }
    return undefined;
  }

  #connectionsFor(long: boolean): number {
    return this.#options.maxConnections - (long ? 1 : 0);
  }

  /** Waits for a connection. May answer `onUnavailable` before it returns. */
  wait(waiter: Waiter): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      waiter.onUnavailable(refusal);
      return;
    }
    this.#waiters.set(waiter, this.#deadlineTimer(waiter));
    if (this.#routes.length > 0) this.#grow(waiter);
  }

  /** Takes a waiting call back. */
  withdraw(waiter: Waiter): void {
    const timer = this.#waiters.get(waiter);
    if (timer !== undefined) clearTimeout(timer);
    this.#waiters.delete(waiter);
  }

  /** Closes every connection and fails what waits. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const dial of this.#dials) dial.close();
    this.#dials.clear();
    this.#routes = [];
    this.#failWaiters('the proxy is shutting down');
  }

  /** Why a call may not even wait, if so. */
  #refusal(): string | undefined {
    if (this.#closed) return 'the proxy is shutting down';
    if (this.#waiters.size >= this.#options.maxWaiting) {
      this.#options.observer.waitingFull();
      return `too many calls are waiting for a connection to etcd (${this.#cause})`;
    }
    const hopeless = this.#retry !== undefined && this.#outage() >= this.#options.dialTimeout;
    return hopeless ? this.#cause : undefined;
  }

  #outage(): number {
    return performance.now() - this.#downSince;
  }

  #deadlineTimer(waiter: Waiter): NodeJS.Timeout | undefined {
    let left = waiter.deadline - performance.now();
    left -= Math.min(DEADLINE_MARGIN_MS, left / 10);
    // Where there are connections it is streams that are missing, and they may be for ever.
    if (this.#routes.length > 0) left = Math.min(left, this.#options.dialTimeout);
    if (left > MAX_TIMER_MS) return undefined;
    const cause = (): string => (this.#routes.length > 0 ? NO_STREAM_LEFT : this.#cause);
    return schedule(() => this.#fail(waiter, cause()), Math.max(0, left));
  }

  #fail(waiter: Waiter, cause: string): void {
    this.withdraw(waiter);
    waiter.onUnavailable(cause);
  }

  #failWaiters(cause: string): void {
    for (const waiter of [...this.#waiters.keys()]) this.#fail(waiter, cause);
  }

  /** Opens one more connection to the endpoint in use, if the bound allows. */
  #grow({ long }: Waiter): void {
    const route = this.#routes.find(({ connection }) => !connection.closed && !connection.draining);
    if (route === undefined || this.#dialing || this.#routes.length >= this.#connectionsFor(long)) return;
    this.#dial(route.endpoint);
  }

  #dialNext(): void {
    const endpoint = this.#untried.shift();
    if (endpoint !== undefined) this.#dial(endpoint);
    else this.#roundFailed();
  }

  #dial(endpoint: Endpoint): void {
    this.#dialing = true;
    const owner: ConnectionOwner = {
      onConnected: (connection) => this.#connected({ connection, endpoint }),
      onFailed: (cause) => this.#failed(dial, cause),
      onLost: (connection, cause) => this.#lost(dial, connection, cause),
      onStreamSlots: () => this.#serveWaiters(),
      onLimit: (limit) => this.#options.observer.limitReached(limit),
      onFault: (error) => this.#options.observer.fault(error),
    };
    const dial = new Dial(endpoint, this.#options, owner);
    this.#dials.add(dial);
  }

  #connected(route: Route): void {
    this.#dialing = false;
    this.#connectedAt = performance.now();
    this.#routes.push(route);
    this.#options.observer.connected(route.endpoint);
    this.#serveWaiters();
  }

  #serveWaiters(): void {
    let longOnes = true;
    for (const waiter of [...this.#waiters.keys()]) {
      if (waiter.long && !longOnes) continue;
      const route = this.route(waiter);
      if (route === undefined) {
        this.#grow(waiter);
        if (!waiter.long) return;
        longOnes = false;
        continue;
      }
      this.withdraw(waiter);
      waiter.onRoute(route);
    }
  }

  #failed(dial: Dial, cause: string): void {
    this.#dials.delete(dial);
    this.#dialing = false;
    this.#cause = cause;
    this.#options.observer.dialFailed(cause);
    if (this.#closed || this.#routes.length > 0) return;
    this.#dialNext();
  }

  #lost(dial: Dial, connection: Http2Connection, cause: string): void {
    if (connection.closed) this.#dials.delete(dial);
    const route = this.#routes.find((candidate) => candidate.connection === connection);
    if (route === undefined || this.#closed) return;
    this.#routes = this.#routes.filter((candidate) => candidate !== route);
    this.#cause = `${route.endpoint.name}: ${cause}`;
    this.#options.observer.lost(route.endpoint, cause);
    if (this.#routes.length === 0) this.#startRound(route.endpoint);
  }

  /** Tries every endpoint, the one that just failed last. */
  #startRound(failed: Endpoint): void {
    const settled = performance.now() - this.#connectedAt >= SETTLED_MS;
    if (settled) this.#backoff.reset();
    this.#downSince = performance.now();
    this.#untried = [...shuffled(this.#options.endpoints.filter((endpoint) => endpoint !== failed)), failed];
    if (this.#dialing) return; // its end decides how the round goes on
    if (settled) this.#dialNext();
    else this.#retryLater();
  }

  #roundFailed(): void {
    if (this.#outage() >= this.#options.dialTimeout) this.#failWaiters(this.#cause);
    this.#untried = shuffled(this.#options.endpoints);
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retry = schedule(() => {
      this.#retry = undefined;
      this.#dialNext();
    }, this.#backoff.next());
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}
