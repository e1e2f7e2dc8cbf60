/** Endpoints that somebody wrote down, and that never change. */
import type { Endpoint } from '../net/endpoint.ts';
import type { EndpointSource } from '../upstream/endpoint-source.ts';

export class FixedEndpoints implements EndpointSource {
  readonly endpoints: readonly Endpoint[];

  constructor(endpoints: readonly Endpoint[]) {
    this.endpoints = endpoints;
  }

  start(): void {
    // There is nothing to look for.
  }

  close(): void {
    // Nothing was begun.
  }
}
