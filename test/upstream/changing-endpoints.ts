/** A source of endpoints that a test changes as it likes. */
import { type Endpoint, parseEndpoint } from '../../src/net/endpoint.ts';
import type { EndpointSource } from '../../src/upstream/endpoint-source.ts';

export class ChangingEndpoints implements EndpointSource {
  endpoints: readonly Endpoint[] = [];
  closed = false;
  #onChanged: (() => void) | undefined;

  constructor(addresses: readonly string[] = []) {
    this.endpoints = addresses.map(parseEndpoint);
  }

  start(onChanged: () => void): void {
    this.#onChanged = onChanged;
  }

  close(): void {
    this.closed = true;
  }

  /** From now on there are these. Each is a new object, as it is when a list is read anew. */
  become(...members: readonly { readonly address: string }[]): void {
    this.endpoints = members.map(({ address }) => parseEndpoint(address));
    this.#onChanged?.();
  }
}
