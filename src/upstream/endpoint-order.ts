/**
 * In which order endpoints are tried: at random or the nearest first, but those that have failed of late come last, for
 * longer each time.
 */

import { type Endpoint, endpointKeyOf } from '../net/endpoint.ts';
import { Backoff } from '../rpc/backoff.ts';
import { shuffled } from '../rpc/shuffled.ts';
import type { EndpointPick } from './endpoint-pick.ts';

/** How long an endpoint that has failed is passed over while there are others. Milliseconds. */
const FIRST_REST_MS = 1000;
const LONGEST_REST_MS = 60_000;

/** Comes after all that have answered. Milliseconds. */
const UNMEASURED_MS = 1e9;

interface Rest {
  readonly backoff: Backoff;
  /** In milliseconds of `performance.now()`. */
  until: number;
}

export class EndpointOrder {
  #endpoints: readonly Endpoint[] = [];
  readonly #rests = new Map<Endpoint, Rest>();
  /** In milliseconds, where they count. */
  readonly #roundTrips = new WeakMap<Endpoint, number>();
  readonly #pick: EndpointPick;

  constructor(pick: EndpointPick = 'random') {
    this.#pick = pick;
  }

  /**
   * Takes the list as it is now. One that stays goes on as the object that it was, with its rest; who is gone is forgotten.
   * @param inUse the one in use, which may have been gone and come back
   * @returns whether one is new
   */
  follow(list: readonly Endpoint[], inUse: Endpoint | undefined): boolean {
    const before = [...this.#endpoints, ...(inUse === undefined ? [] : [inUse])];
    const known = new Map(before.map((endpoint) => [endpointKeyOf(endpoint), endpoint]));
    const now = new Map(list.map((endpoint) => [endpointKeyOf(endpoint), endpoint]));
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

  /** It has answered the question in so many milliseconds. */
  onMeasured(endpoint: Endpoint, ms: number): void {
    if (this.#pick === 'nearest') this.#roundTrips.set(endpoint, ms);
  }

  /** Those that have not failed of late. */
  fit(): Endpoint[] {
    const now = performance.now();
    return this.#endpoints.filter((endpoint) => (this.#rests.get(endpoint)?.until ?? 0) <= now);
  }

  /**
   * All endpoints, the most promising first.
   * @param last comes last in any case
   */
  all(last?: Endpoint): Endpoint[] {
    const now = performance.now();
    const rest = (endpoint: Endpoint): number =>
      endpoint === last ? Number.POSITIVE_INFINITY : Math.max(now, this.#rests.get(endpoint)?.until ?? 0);
    const far = (endpoint: Endpoint): number => this.#roundTrips.get(endpoint) ?? UNMEASURED_MS;
    return shuffled(this.#endpoints).sort((a, b) =>
      rest(a) === rest(b) ? far(a) - far(b) : rest(a) - rest(b),
    );
  }
}
