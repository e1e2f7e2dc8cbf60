/** Opens further connections to the endpoint in use, for each kind of traffic one at a time. */
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { ConnectionOwner, Dial } from './connection.ts';
import type { Traffic } from './traffic.ts';

/** What further connections are for, and who uses them. */
export interface GrowthOwner {
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  onGrown(traffic: Traffic, endpoint: Endpoint, dial: Dial, connection: Http2Connection): void;
  onDialFailed(cause: string): void;
  onLimit(limit: string): void;
  onFault(error: unknown): void;
}

export class Growth {
  readonly #owner: GrowthOwner;
  readonly #dials = new Map<Traffic, Dial>();

  constructor(owner: GrowthOwner) {
    this.#owner = owner;
  }

  /** Opens one more, unless one is being opened. */
  begin(traffic: Traffic, endpoint: Endpoint): void {
    if (this.#dials.has(traffic)) return;
    const dial = this.#owner.dial(endpoint, {
      onConnected: (connection) => {
        this.#dials.delete(traffic);
        this.#owner.onGrown(traffic, endpoint, dial, connection);
      },
      onFailed: (cause) => {
        this.#dials.delete(traffic);
        this.#owner.onDialFailed(cause);
      },
      onLost: () => {}, // not before it is connected
      onSpent: () => {},
      onStreamSlots: () => {},
      onLimit: (limit) => this.#owner.onLimit(limit),
      onFault: (error) => this.#owner.onFault(error),
      pingsIdle: () => false,
    });
    this.#dials.set(traffic, dial);
  }

  /** Ends the attempts. */
  close(): void {
    for (const dial of this.#dials.values()) dial.close();
    this.#dials.clear();
  }
}
