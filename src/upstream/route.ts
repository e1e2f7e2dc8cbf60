/** A connection that calls can be sent on, and what is under way there. */
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { type Asked, type Leaver, Unanswered } from './unanswered.ts';

/** One connection to an endpoint. */
export class Route {
  readonly connection: Http2Connection;
  readonly endpoint: Endpoint;
  /** Calls whose answers are due soon. */
  readonly unanswered = new Unanswered();
  /** Calls that have no answer due and would hear nothing more if the endpoint were left. */
  readonly lasting = new Set<Leaver>();
  /** Whether etcd was asked to tell here when it does not serve. */
  healthWatched = false;
  /** In milliseconds of `performance.now()`. */
  readonly connectedAt = performance.now();
  readonly #heed: () => void;

  /** @param heed is called when an answer is due */
  constructor(connection: Http2Connection, endpoint: Endpoint, heed: () => void) {
    this.connection = connection;
    this.endpoint = endpoint;
    this.#heed = heed;
  }

  /** A call was sent whose answer is due soon. */
  asks(call: Asked): void {
    call.askedAt = performance.now();
    this.unanswered.add(call);
    this.#heed();
  }

  /** A call was taken back, because its client gave it up or it is sent elsewhere. */
  onGivenUp(call: Asked): void {
    this.lasting.delete(call);
    this.unanswered.onGivenUp(call);
  }
}
