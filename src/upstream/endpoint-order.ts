/** In which order endpoints are tried: at random, but those that have failed of late come last, for longer each time. */

import { type Endpoint, identityOf } from '../net/endpoint.ts';
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
  #endpoints: readonly Endpoint[] = [];
  readonly #rests = new Map<Endpoint, Rest>();

  /**
   * Takes the list as it is now. One that stays goes on as the object that it was, with its rest; who is gone is forgotten.
   * @param inUse the one in use, which may have been gone and come back
   * @returns whether one is new
   */
  follow(list: readonly Endpoint[], inUse: Endpoint | undefined): boolean {
    const before = [...this.#endpoints, ...(inUse === undefined ? [] : [inUse])];
    const known = new Map(before.map((endpoint) => [identityOf(endpoint), endpoint]));
    const now = new Map(list.map((endpoint) => [identityOf(endpoint), endpoint]));
    for (const id of now.keys()) now.set(id, known.get(id) ?? (now.get(id) as Endpoint));
    const had = new Set(this.#endpoints);
    this.#endpoints = [...now.values()];
    for (const endpoint of this.#rests.keys()) if (!this.has(endpoint)) this.#rests.delete(endpoint);
    return this.#endpoints.some((endpoint) => !had.has(endpoint));
  }

  /** Whether it is in the list. */
  has(endpoint: Endpoint): boolean {
    return this.#endpoints.includes(endpoint);
  }

  /** How many there are. */
  get size(): number {
    return this.#endpoints.length;
  }

  /** It was left, lost, or could not be used. */
  onFailed(endpoint: Endpoint): void {
    if (!this.has(endpoint)) return;
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
