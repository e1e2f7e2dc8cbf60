/** A connection that calls can be sent on, and what is under way there. */
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { type Asked, type Leaver, Unanswered } from './unanswered.ts';

/** A connection that lived shorter than this counts as a failed attempt. Milliseconds. */
const SETTLED_MS = 1000;
/** Unless it has had so many answers: balancers close connections after so many calls, nginx after 1000. */
const SETTLED_ANSWERS = 50;

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
  /** How many unary calls etcd has answered well here. */
  answers = 0;
  /** In milliseconds of `performance.now()`. */
  readonly connectedAt = performance.now();
  readonly #heed: () => void;

  /** @param heed is called when an answer is due */
  constructor(connection: Http2Connection, endpoint: Endpoint, heed: () => void) {
    this.connection = connection;
    this.endpoint = endpoint;
    this.#heed = heed;
  }

  /** Whether it was of use: whatever ended it is no failed attempt. */
  get settled(): boolean {
    return this.answers >= SETTLED_ANSWERS || performance.now() - this.connectedAt >= SETTLED_MS;
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
