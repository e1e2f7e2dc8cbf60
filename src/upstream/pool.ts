/** Chooses the connection for a call: to the one endpoint that `Choice` has chosen. While there is none, calls wait, boundedly. */
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { RpcError } from '../rpc/status.ts';
import type { Accuser } from './accusers.ts';
import type { Candidate } from './candidate.ts';
import { Choice } from './choice.ts';
import type { ChoiceOptions, ChoiceOwner, SwitchReason } from './choice-owner.ts';
import { type ConnectionOwner, Dial, type DialOptions } from './dial.ts';
import type { EndpointSource } from './endpoint-source.ts';
import { Growth, type GrowthOwner } from './growth.ts';
import { HealthWatch } from './health-watch.ts';
import { InUse } from './in-use.ts';
import { LeftRoutes } from './left-routes.ts';
import { Outage } from './outage.ts';
import type { PoolObserver } from './pool-observer.ts';
import { Route } from './route.ts';
import { isBusy } from './routes.ts';
import { SecondConnection, type SecondOwner } from './second-connection.ts';
import type { Verdict } from './survey-plan.ts';
import { TRAFFIC, type Traffic } from './traffic.ts';
import { noConnection, noStream, type Waiter, WaitingCalls } from './waiting-calls.ts';

/** Where endpoints come from, and how many connections and waiting calls there may be. */
export interface PoolOptions extends DialOptions {
  readonly source: EndpointSource;
  /** Milliseconds for one connection attempt, and for an outage before waiting calls fail. */
  readonly dialTimeout: number;
  /** Calls that may wait at a time. */
  readonly maxWaiting: number;
  /** Connections to the endpoint in use that calls of one kind may fill where etcd limits streams. */
  readonly maxConnections: number;
  /** How endpoints that serve are chosen among. */
  readonly choice?: ChoiceOptions;
  readonly observer: PoolObserver;
}

export class Pool implements ChoiceOwner, GrowthOwner, SecondOwner {
  readonly #options: PoolOptions;
  readonly #choice: Choice;
  readonly #waiting = new WaitingCalls();
  readonly #left = new LeftRoutes();
  readonly #growth = new Growth(this);
  readonly #second: SecondConnection;
  readonly #dials = new Set<Dial>();
  readonly #outage: Outage;
  #inUse = new InUse();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#choice = new Choice(this, options.choice);
    this.#outage = new Outage(options.dialTimeout);
    this.#second = new SecondConnection(this, options.dialTimeout / 2);
  }

  /** Starts connecting. etcd need not be up. */
  start(): void {
    this.#options.source.start(() => this.#follow());
    this.#follow();
    this.#choice.start();
  }

  /** How many endpoints there are. */
  get size(): number {
    return this.#choice.size;
  }

  /** The connections in use, all to one endpoint. */
  get routes(): readonly Route[] {
    return this.#inUse.all;
  }

  /** The endpoint in use. */
  get current(): Endpoint | undefined {
    return this.routes[0]?.endpoint;
  }

  /** See `Cluster.id`. */
  get cluster(): string | undefined {
    return this.#choice.cluster;
  }

  /** The endpoints that are not in use, the most promising first. */
  get others(): Endpoint[] {
    return this.#choice.others(this.current);
  }

  /** The connection for a new call, if one has a free stream for its kind. */
  route({ traffic }: Pick<Waiter, 'traffic'>): Route | undefined {
    return this.#inUse.lacks(traffic) ? this.#borrowed(traffic) : this.#inUse.routeFor(traffic);
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
    this.#waiting.add(waiter, atMost, () => this.#lack(waiter));
    if (this.routes.length > 0) this.#grow(waiter.traffic);
  }

  /** Takes a waiting call back. */
  withdraw(waiter: Waiter): void {
    this.#waiting.withdraw(waiter);
  }

  /** A call on a route was refused for a reason that may be the member's: does another one serve? */
  accuse(route: Route, accuser?: Accuser): void {
    if (this.routes.includes(route)) this.#choice.accuse(route, accuser);
    else accuser?.onJudged(!this.#closed);
  }

  /** Closes every connection and fails what waits. */
  close(): void {
    this.#closed = true;
    this.#options.source.close();
    this.#choice.close();
    this.#openNoMore();
    // Before the connections are closed: what that breaks off looks for another one.
    this.#inUse = new InUse();
    for (const dial of this.#dials) dial.close();
    this.#dials.clear();
    this.#waiting.failAll('the proxy is shutting down');
  }

  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial {
    return new Dial(endpoint, this.#options, owner);
  }

  onDialFailed(cause: string, leadsBack = false): void {
    if (this.routes.length === 0 || leadsBack) this.#outage.cause = cause;
    this.#options.observer.onDialFailed(cause, leadsBack);
  }

  abandon(): void {
    for (const route of this.routes) this.#spent(route);
  }

  onLimit(limit: string): void {
    this.#options.observer.onLimit(limit);
  }

  onFault(error: unknown): void {
    this.#options.observer.onFault(error);
  }

  onAsked(verdict: Verdict['kind']): void {
    this.#options.observer.onAsked(verdict);
  }

  onNoneConnected(cause?: string): void {
    if (cause !== undefined) this.#outage.cause = cause;
    if (this.#outage.isLong) this.#waiting.failAll(this.#outage.cause);
  }

  onChosen({ endpoint, connection, dial }: Candidate, reason: SwitchReason): void {
    const left = this.routes;
    const [from] = left;
    if (from !== undefined) this.#options.observer.onSwitched(from.endpoint, endpoint, reason);
    this.#openNoMore();
    this.#inUse = new InUse();
    this.#inUse.add(this.#connected(dial, connection as Http2Connection, endpoint));
    this.#serveWaiting();
    // Who has waited for a connection waits for a stream from now on.
    this.#waiting.limit(this.#options.dialTimeout, (waiter) => this.#lack(waiter));
    for (const each of left) this.#left.leave(each);
  }

  onSecond({ endpoint, connection, dial }: Candidate): void {
    this.#inUse.add(this.#connected(dial, connection as Http2Connection, endpoint));
    this.#serveWaiting();
  }

  onNoSecond(): void {
    this.#serveWaiting();
  }

  onRested(): void {
    this.#serveWaiting();
  }

  onGrown(traffic: Traffic, endpoint: Endpoint, dial: Dial, connection: Http2Connection): void {
    this.#inUse.extend(traffic, this.#connected(dial, connection, endpoint));
    this.#serveWaiting();
  }

  /** The connection for a call whose kind has none yet. Short ones are over soon, and need not wait for it. */
  #borrowed(traffic: Traffic): Route | undefined {
    const { current } = this;
    if (current === undefined) return undefined;
    this.#second.begin(current);
    return this.#second.opening && traffic !== 'replies' ? undefined : this.#inUse.borrowed(traffic);
  }

  /** Why a call may not even wait, if so. */
  #refusal(): string | undefined {
    if (this.#closed) return 'the proxy is shutting down';
    if (this.#waiting.size >= this.#options.maxWaiting) {
      this.#options.observer.onWaitingFull();
      return `too many calls are waiting for a connection to etcd (${this.#outage.cause})`;
    }
    return this.#choice.resting && this.#outage.isLong ? this.#outage.cause : undefined;
  }

  /** The error for a call that has waited too long. */
  #lack({ traffic }: Waiter): RpcError {
    if (this.routes.length === 0) return noConnection(this.#outage.cause);
    this.#options.observer.onNoStream(traffic);
    return noStream();
  }

  #follow(): void {
    this.#choice.follow(this.#options.source.endpoints);
    for (const route of this.routes) this.#watchHealth(route);
  }

  #watchHealth(route: Route): void {
    if (this.size > 1) HealthWatch.open(route, () => this.accuse(route));
  }

  #connected(dial: Dial, connection: Http2Connection, endpoint: Endpoint): Route {
    const route = new Route(connection, endpoint, () => this.#choice.heed());
    this.#dials.add(dial);
    dial.handOver({
      onConnected: () => {}, // it is
      onFailed: () => {},
      onLost: (_, cause) => this.#lost(dial, route, cause),
      onSpent: () => queueMicrotask(() => this.#spent(route)),
      onStreamSlots: () => this.#serveWaiting(),
      onLimit: (limit) => this.onLimit(limit),
      onFault: (error) => this.onFault(error),
      // A quiet connection may be dead, and nobody wants to learn that by a call that has no answer.
      pingsIdle: () => this.routes.includes(route) && this.routes.some(isBusy),
    });
    this.#watchHealth(route);
    this.#options.observer.onConnected(endpoint);
    return route;
  }

  /** Opens one more connection to the endpoint in use for this kind of traffic, if the bound allows. */
  #grow(traffic: Traffic): void {
    const route = this.routes.find(({ connection }) => !connection.closed && !connection.draining);
    if (this.#inUse.lacks(traffic) && this.#second.opening) return;
    if (route === undefined || this.#inUse.countFor(traffic) >= this.#options.maxConnections) return;
    this.#growth.begin(traffic, route.endpoint);
  }

  #openNoMore(): void {
    this.#growth.close();
    this.#second.close();
  }

  #serveWaiting(): void {
    for (const traffic of TRAFFIC) {
      const left = this.#waiting.serve(traffic, (waiter) => this.route(waiter));
      if (left && this.routes.length > 0) this.#grow(traffic);
    }
  }

  #lost(dial: Dial, route: Route, cause: string): void {
    const { connection, endpoint } = route;
    if (connection.closed) this.#dials.delete(dial);
    if (this.#closed) return;
    if (!this.routes.includes(route)) {
      if (connection.closed && this.#left.onClosed(connection)) this.#options.observer.onClosed();
      return;
    }
    this.#outage.cause = `${endpoint.name}: ${cause}`;
    this.#options.observer.onLost(endpoint, cause);
    this.#remove(route, route.settled);
  }

  /** What can go on elsewhere does; the rest ends where it is. */
  #spent(route: Route): void {
    if (!this.routes.includes(route)) return;
    this.#remove(route, true);
    this.#left.leave(route);
  }

  #remove(route: Route, settled: boolean): void {
    this.#inUse.remove(route);
    if (this.routes.length > 0) {
      this.#second.onLost(settled);
      this.#growth.onLost(settled);
      this.#choice.onThinned(route);
      this.#serveWaiting();
      return;
    }
    this.#outage.begin();
    this.#openNoMore();
    this.#choice.onLost(route.endpoint, settled);
  }
}
