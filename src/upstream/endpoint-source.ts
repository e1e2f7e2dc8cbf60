/** Where the pool learns which endpoints there are: a flag's list, DNS, the cluster itself. They may change at any time. */
import type { Endpoint } from '../net/endpoint.ts';

/** A list of endpoints that may change. */
export interface EndpointSource {
  /** What is known now; empty while nothing is: calls wait then as while none can be connected. */
  readonly endpoints: readonly Endpoint[];
  /** Begins to look. `onChanged` is called after each change of `endpoints`, never within this call. */
  start(onChanged: () => void): void;
  /** Ends all work; nothing is called any more. */
  close(): void;
}
