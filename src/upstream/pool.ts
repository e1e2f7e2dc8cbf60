/**
 * Chooses the connection that a call travels on. One endpoint, the one that `Choice` has chosen, serves everything. While
 * there is none, calls wait here, boundedly.
 */
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { RpcError } from '../rpc/status.ts';
import type { Candidate } from './candidate.ts';
import { type Accuser, Choice, type ChoiceOwner } from './choice.ts';
import { type ConnectionOwner, Dial, type DialOptions } from './connection.ts';
import { HealthWatch } from './health-watch.ts';
import { LeftRoutes } from './left-routes.ts';
import { Route } from './route.ts';
import type { Verdict } from './survey.ts';
import { noConnection, type Waiter, WaitingCalls } from './waiting-calls.ts';

/** Is told of changes worth a log line or a count. */
export interface PoolObserver {
  onConnected(endpoint: Endpoint): void;
  onLost(endpoint: Endpoint, cause: string): void;
  /** A connection that was left for another one has closed. */
  onClosed(): void;
  /** Another connection is used from now on, because this one does not serve. */
  onSwitched(from: Endpoint, to: Endpoint): void;
  /** Endpoints were asked whether they serve; the kind of the verdict. */
  onAsked(verdict: Verdict['kind']): void;
  onDialFailed(cause: string): void;
  /** A call was turned away because {@link PoolOptions.maxWaiting} calls were waiting. */
  onWaitingFull(): void;
  /** A bound of the HTTP/2 settings was reached by etcd. */
  onLimit(limit: string): void;
  /** A fault of the program surfaced on a connection to etcd. */
  onFault(error: unknown): void;
}

/** The endpoints, and how many connections and waiting calls there may be. */
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

/** A connection that lived shorter than this counts as a failed attempt. Milliseconds. */
const SETTLED_MS = 1000;

/** Why a call waits in vain although etcd is there. */
const NO_STREAM_LEFT = 'etcd allows no more streams on its connections (--max-concurrent-streams)';

export class Pool implements ChoiceOwner {
  /** The connections in use, all to one endpoint. */
  routes: Route[] = [];
  readonly #options: PoolOptions;
  readonly #choice: Choice;
  readonly #waiting = new WaitingCalls();
  readonly #left = new LeftRoutes();
  readonly #dials = new Set<Dial>();
  /** One more connection to the endpoint in use that is being opened. */
  #growth: Dial | undefined;
  #downSince = performance.now();
  #connectedAt = 0;
  #cause = 'not connected yet';
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#choice = new Choice(options.endpoints, this);
  }

  /** Starts connecting. etcd need not be up. */
  start(): void {
    this.#choice.start();
  }

  /** The endpoint in use. */
  get current(): Endpoint | undefined {
    return this.routes[0]?.endpoint;
  }

  /** The endpoints that are not in use, the most promising first. */
  get others(): Endpoint[] {
    return this.#choice.others(this.current);
  }

  /**
   * The connection for a new call, if one has a free stream. The last connection that `maxConnections` allows is for
   * calls that are not `long`.
   */
  route({ long }: Pick<Waiter, 'long'>): Route | undefined {
    const usable = Math.min(this.routes.length, this.#connectionsFor(long));
    for (let i = 0; i < usable; i++) {
      const route = this.routes[i] as Route;
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
      waiter.onUnavailable(noConnection(refusal));
      return;
    }
    // With connections up, what is missing is a free stream. It may never come, so the wait is bounded.
    const atMost = this.routes.length > 0 ? this.#options.dialTimeout : Number.POSITIVE_INFINITY;
    this.#waiting.add(waiter, atMost, () => this.#lack());
    if (this.routes.length > 0) this.#grow(waiter);
  }

  /** Takes a waiting call back. */
  withdraw(waiter: Waiter): void {
    this.#waiting.withdraw(waiter);
  }

  /** A call on a route was refused for a reason that may be the member's: does another one serve? */
  accuse(route: Route, accuser?: Accuser): void {
    if (this.routes.includes(route)) this.#choice.accuse(accuser);
    else accuser?.onJudged(!this.#closed);
  }

  /** Closes every connection and fails what waits. */
  close(): void {
    this.#closed = true;
    this.#choice.close();
    for (const dial of this.#dials) dial.close();
    this.#dials.clear();
    this.routes = [];
    this.#waiting.failAll('the proxy is shutting down');
  }

  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial {
    return new Dial(endpoint, this.#options, owner);
  }

  onDialFailed(cause: string): void {
    if (this.routes.length === 0) this.#cause = cause;
    this.#options.observer.onDialFailed(cause);
  }

  onAsked(verdict: Verdict['kind']): void {
    this.#options.observer.onAsked(verdict);
  }

  onNoneConnected(): void {
    if (this.#outage() >= this.#options.dialTimeout) this.#waiting.failAll(this.#cause);
  }

  onChosen({ endpoint, connection, dial }: Candidate): void {
    const left = this.routes;
    const [from] = left;
    if (from !== undefined) this.#options.observer.onSwitched(from.endpoint, endpoint);
    this.routes = [];
    this.#closeGrowth();
    this.#dials.add(dial);
    this.#connected(dial, connection as Http2Connection, endpoint);
    for (const route of left) this.#left.leave(route);
  }

  /** Why a call may not even wait, if so. */
  #refusal(): string | undefined {
    if (this.#closed) return 'the proxy is shutting down';
    if (this.#waiting.size >= this.#options.maxWaiting) {
      this.#options.observer.onWaitingFull();
      return `too many calls are waiting for a connection to etcd (${this.#cause})`;
    }
    const hopeless = this.#choice.resting && this.#outage() >= this.#options.dialTimeout;
    return hopeless ? this.#cause : undefined;
  }

  /** The error for a call that has waited too long. */
  #lack(): RpcError {
    return this.routes.length > 0 ? noConnection(NO_STREAM_LEFT, 'no-stream') : noConnection(this.#cause);
  }

  #outage(): number {
    return performance.now() - this.#downSince;
  }

  #connected(dial: Dial, connection: Http2Connection, endpoint: Endpoint): void {
    dial.handOver({
      onConnected: () => {}, // it is
      onFailed: () => {},
      onLost: (lost, cause) => this.#lost(dial, lost, endpoint, cause),
      onStreamSlots: () => this.#serveWaiting(),
      onLimit: (limit) => this.#options.observer.onLimit(limit),
      onFault: (error) => this.#options.observer.onFault(error),
    });
    this.#connectedAt = performance.now();
    const route = new Route(connection, endpoint, () => this.#choice.heed());
    this.routes.push(route);
    if (this.#options.endpoints.length > 1 && this.routes.length === 1)
      HealthWatch.open(route, () => this.accuse(route));
    this.#options.observer.onConnected(endpoint);
    this.#serveWaiting();
  }

  /** Opens one more connection to the endpoint in use, if the bound allows. */
  #grow({ long }: Pick<Waiter, 'long'>): void {
    const route = this.routes.find(({ connection }) => !connection.closed && !connection.draining);
    if (route === undefined || this.#growth !== undefined) return;
    if (this.routes.length >= this.#connectionsFor(long)) return;
    const { endpoint } = route;
    const dial = this.dial(endpoint, {
      onConnected: (connection) => {
        this.#growth = undefined;
        this.#connected(dial, connection, endpoint);
      },
      onFailed: (cause) => {
        this.#growth = undefined;
        this.#dials.delete(dial);
        this.onDialFailed(cause);
      },
      onLost: () => {}, // not before it is connected
      onStreamSlots: () => {},
      onLimit: (limit) => this.#options.observer.onLimit(limit),
      onFault: (error) => this.#options.observer.onFault(error),
    });
    this.#growth = dial;
    this.#dials.add(dial);
  }

  #closeGrowth(): void {
    if (this.#growth === undefined) return;
    this.#growth.close();
    this.#dials.delete(this.#growth);
    this.#growth = undefined;
  }

  #serveWaiting(): void {
    let longOnes = true;
    for (const waiter of this.#waiting.all()) {
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

  #lost(dial: Dial, connection: Http2Connection, endpoint: Endpoint, cause: string): void {
    if (connection.closed) this.#dials.delete(dial);
    if (this.#closed) return;
    const route = this.routes.find((candidate) => candidate.connection === connection);
    if (route === undefined) {
      if (connection.closed && this.#left.onClosed(connection)) this.#options.observer.onClosed();
      return;
    }
    this.routes = this.routes.filter((candidate) => candidate !== route);
    this.#cause = `${endpoint.name}: ${cause}`;
    this.#options.observer.onLost(endpoint, cause);
    if (this.routes.length > 0) return;
    this.#downSince = performance.now();
    this.#closeGrowth();
    this.#choice.onLost(endpoint, performance.now() - this.#connectedAt >= SETTLED_MS);
  }
}
