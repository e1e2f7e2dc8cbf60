/**
 * Connections that were left for another endpoint. What is under way there ends there; then they close. Calls that can be
 * asked again elsewhere are told so.
 */
import type { Http2Connection } from '../http2/index.ts';
import type { Route } from './route.ts';

/** Connections that may be kept so; with more, the one that was left first is closed with all that is under way on it. */
const MAX_LEFT = 64;

/** Calls that are asked again in one turn; the others follow in the next ones. */
const CALLS_A_TURN = 500;

export class LeftRoutes {
  readonly #connections = new Set<Http2Connection>();

  /** Leaves a route that is not in use any more. */
  leave(route: Route): void {
    const { connection, unanswered, lasting } = route;
    this.#connections.add(connection);
    // It is just being closed: that ends its calls, and a `Lock` must not be asked elsewhere then.
    if (connection.closed) return;
    const calls = [...lasting, ...unanswered.all()];
    const tell = (): void => {
      for (const call of calls.splice(0, CALLS_A_TURN)) call.onLeft(route);
      if (calls.length > 0) setImmediate(tell);
      else connection.drain();
    };
    tell();
    const [first] = this.#connections;
    if (this.#connections.size > MAX_LEFT) first?.destroy();
  }

  /** A connection is closed: whether it was one of these. */
  onClosed(connection: Http2Connection): boolean {
    return this.#connections.delete(connection);
  }
}
