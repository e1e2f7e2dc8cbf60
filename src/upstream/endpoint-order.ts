/** In which order endpoints are tried: at random, but those that have failed of late come last, for longer each time. */

import type { Endpoint } from '../net/endpoint.ts';
import { Backoff } from '../rpc/backoff.ts';

/** How long an endpoint that has failed is passed over while there are others. Milliseconds. */
const FIRST_REST_MS = 1000;
const LONGEST_REST_MS = 60_000;

interface Rest {
  readonly backoff: Backoff;
  /** In milliseconds of `performance.now()`. */
  until: number;
}

export class EndpointOrder {
  readonly #endpoints: readonly Endpoint[];
  readonly #rests = new Map<Endpoint, Rest>();

  constructor(endpoints: readonly Endpoint[]) {
    this.#endpoints = endpoints;
  }

  /** How many there are. */
  get size(): number {
    return this.#endpoints.length;
  }

  /** It was left, lost, or could not be used. */
  onFailed(endpoint: Endpoint): void {
    const rest = this.#rests.get(endpoint) ?? {
      backoff: new Backoff(FIRST_REST_MS, LONGEST_REST_MS),
      until: 0,
    };
    rest.until = performance.now() + rest.backoff.next();
    this.#rests.set(endpoint, rest);
  }

  /** It serves. */
  onServed(endpoint: Endpoint): void {
    this.#rests.delete(endpoint);
  }

  /**
   * All endpoints, the most promising first.
   * @param last comes last in any case
   */
  all(last?: Endpoint): Endpoint[] {
    const now = performance.now();
    const rest = (endpoint: Endpoint): number =>
      endpoint === last ? Number.POSITIVE_INFINITY : Math.max(now, this.#rests.get(endpoint)?.until ?? 0);
    return shuffled(this.#endpoints).sort((a, b) => (rest(a) === rest(b) ? 0 : rest(a) - rest(b)));
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
