/** Calls without a connection yet, boundedly many. Each is told how it goes on, or fails in time for its client to learn why. */
import { setTimeout as schedule } from 'node:timers';
import { Code, type LocalCause, RpcError } from '../rpc/status.ts';
import { MAX_TIMER_MS } from '../rpc/timer.ts';
import type { Route } from './route.ts';

/** A call without a connection yet. Hears one of the two, once, unless it is withdrawn. */
export interface Waiter {
  /** When its client gives up, in milliseconds of `performance.now()`. */
  readonly deadline: number;
  /** Whether it may stay open for ever, as watches do; not every connection is for such calls. */
  readonly long: boolean;
  onRoute(route: Route): void;
  onUnavailable(error: RpcError): void;
}

/** A waiting call fails this long before its client gives up, so that the client learns why. Milliseconds. */
const DEADLINE_MARGIN_MS = 50;

export class WaitingCalls {
  readonly #timers = new Map<Waiter, NodeJS.Timeout | undefined>();

  /** How many wait. */
  get size(): number {
    return this.#timers.size;
  }

  /**
   * Lets a call wait.
   * @param atMost milliseconds after which it fails in any case
   * @param error what it fails with, asked when it does
   */
  add(waiter: Waiter, atMost: number, error: () => RpcError): void {
    let left = waiter.deadline - performance.now();
    left = Math.min(atMost, left - Math.min(DEADLINE_MARGIN_MS, left / 10));
    const timer =
      left > MAX_TIMER_MS ? undefined : schedule(() => this.#fail(waiter, error()), Math.max(0, left));
    this.#timers.set(waiter, timer);
  }

  /** Takes a call back. */
  withdraw(waiter: Waiter): void {
    const timer = this.#timers.get(waiter);
    if (timer !== undefined) clearTimeout(timer);
    this.#timers.delete(waiter);
  }

  /** Those that wait now, the first one first. */
  all(): Waiter[] {
    return [...this.#timers.keys()];
  }

  /** Fails all of them. @param cause why there is no connection */
  failAll(cause: string): void {
    for (const waiter of this.all()) this.#fail(waiter, noConnection(cause));
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
