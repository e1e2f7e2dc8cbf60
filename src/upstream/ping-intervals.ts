/** How often etcd is pinged: no more often than gRPC allows, and less often where a server says that it was too often. */
import type { Endpoint } from '../net/endpoint.ts';

/** gRPC's shortest keepalive interval. Milliseconds. */
const LEAST_MS = 10_000;

/** gRPC servers take offence at no longer interval than this. Milliseconds. */
const MOST_MS = 2 * 60 * 60 * 1000;

/** The keepalive intervals of connections to come, by endpoint, in milliseconds; 0 is never. */
export class PingIntervals {
  /** Where no server has complained. */
  readonly initial: number;
  readonly #slower = new WeakMap<Endpoint, number>();

  /** @param wanted raised to `least`, unless it is 0 */
  constructor(wanted: number, least = LEAST_MS) {
    this.initial = wanted > 0 ? Math.max(wanted, least) : 0;
  }

  /** The interval of a new connection. */
  of(endpoint: Endpoint): number {
    return this.#slower.get(endpoint) ?? this.initial;
  }

  /** Pings at an interval of `used` were too many: doubles it, once for all connections that had it, and returns the result. */
  tooMany(endpoint: Endpoint, used: number): number {
    const next = Math.max(this.of(endpoint), Math.min(2 * used, Math.max(used, MOST_MS)));
    this.#slower.set(endpoint, next);
    return next;
  }
}
