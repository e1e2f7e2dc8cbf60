/** Calls without a connection yet, boundedly many. Each is told how it goes on, or fails in time for its client to learn why. */
import { Code, type LocalCause, RpcError } from '../rpc/status.ts';
import { MAX_TIMER_MS } from '../rpc/timer.ts';
import { Patience } from './patience.ts';
import type { Route } from './route.ts';
import { TRAFFIC, type Traffic } from './traffic.ts';

/** A call without a connection yet. Hears one of the two, once, unless it is withdrawn. */
export interface Waiter {
  /** When its client gives up, in milliseconds of `performance.now()`. */
  readonly deadline: number;
  /** Not every connection is for every kind. */
  readonly traffic: Traffic;
  onRoute(route: Route): void;
  onUnavailable(error: RpcError): void;
}

/** A waiting call fails this long before its client gives up, so that the client learns why. Milliseconds. */
const DEADLINE_MARGIN_MS = 50;

type Line = Map<Waiter, Patience | undefined>;

export class WaitingCalls {
  readonly #lines: Readonly<Record<Traffic, Line>> = {
    watches: new Map(),
    heartbeats: new Map(),
    locks: new Map(),
    bulk: new Map(),
    replies: new Map(),
  };

  /** How many wait. */
  get size(): number {
    return TRAFFIC.reduce((sum, traffic) => sum + this.#lines[traffic].size, 0);
  }

  /**
   * Lets a call wait.
   * @param atMost milliseconds after which it fails in any case, see {@link Patience}
   * @param error what it fails with, asked when it does
   */
  add(waiter: Waiter, atMost: number, error: () => RpcError): void {
    const { deadline, traffic } = waiter;
    const now = performance.now();
    const until = deadline - Math.min(DEADLINE_MARGIN_MS, (deadline - now) / 10);
    const fail = (): void => this.#fail(waiter, error());
    const ends = Math.min(atMost, until - now) <= MAX_TIMER_MS;
    this.#lines[traffic].set(waiter, ends ? new Patience(atMost, fail, until) : undefined);
  }

  /** Whoever waits now fails after so many milliseconds at the latest. */
  limit(atMost: number, error: (waiter: Waiter) => RpcError): void {
    for (const traffic of TRAFFIC)
      for (const waiter of [...this.#lines[traffic].keys()]) {
        this.#lines[traffic].get(waiter)?.end();
        this.add(waiter, atMost, () => error(waiter));
      }
  }

  /** Takes a call back. */
  withdraw(waiter: Waiter): void {
    const line = this.#lines[waiter.traffic];
    line.get(waiter)?.end();
    line.delete(waiter);
  }

  /**
   * Those of a kind go on, the first one first, for as long as there is a connection for the next one.
   * @returns whether one is left for which there is none
   */
  serve(traffic: Traffic, routeFor: (waiter: Waiter) => Route | undefined): boolean {
    for (;;) {
      const [waiter] = this.#lines[traffic].keys();
      if (waiter === undefined) return false;
      const route = routeFor(waiter);
      if (route === undefined) return true;
      this.withdraw(waiter);
      waiter.onRoute(route);
    }
  }

  /** Fails all of them. @param cause why there is no connection */
  failAll(cause: string): void {
    const all = TRAFFIC.flatMap((traffic) => [...this.#lines[traffic].keys()]);
    for (const waiter of all) this.#fail(waiter, noConnection(cause));
  }

  #fail(waiter: Waiter, error: RpcError): void {
    this.withdraw(waiter);
    waiter.onUnavailable(error);
  }
}

/** What a call fails with that got no connection. */
export function noConnection(why: string, cause?: LocalCause): RpcError {
  return new RpcError(Code.UNAVAILABLE, `no connection to etcd: ${why}`, undefined, cause);
}

/** What a call fails with although etcd is there. */
export function noStream(): RpcError {
  return noConnection(
    'etcd allows no more streams on its connections (--max-concurrent-streams)',
    'no-stream',
  );
}
