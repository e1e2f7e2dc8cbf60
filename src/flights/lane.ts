/**
 * All reads of one kind, while there are any: at most one call in flight, and at most one gathering behind it.
 *
 *     first read ──▶ sent at once, as the client's own call: nobody can join it
 *     later ones ──▶ join the flight that gathers; it is sent when the call in flight has ended
 *
 * A read never joins a call that was sent already. So etcd is asked after the read arrived, and its answer is one
 * that the client could have had from etcd itself: a linearizable read sees every write that was acknowledged
 * before it, and a serializable one does not fall behind what the same client saw before. "Sent" is when the call
 * is handed to the upstream, which may send it later or once more, but never earlier.
 */
import type { Call, UnaryUpstream } from '../rpc/contract.ts';
import { Flight } from './flight.ts';

/** Is told what a lane does. */
export interface LaneOwner {
  /** A call was sent. */
  onSent(): void;
  /** The call in flight has ended. */
  onEnded(): void;
  /** The call in flight was the last one: the lane is not used any more. */
  onIdle(lane: Lane): void;
}

/** The reads that are the same. */
export class Lane {
  /** What makes them the same. */
  readonly key: string;
  readonly #upstream: UnaryUpstream;
  readonly #owner: LaneOwner;
  #gathering: Flight | undefined;

  constructor(key: string, upstream: UnaryUpstream, owner: LaneOwner) {
    this.key = key;
    this.#upstream = upstream;
    this.#owner = owner;
  }

  /** How many reads the gathering flight has. */
  get gathered(): number {
    return this.#gathering?.size ?? 0;
  }

  /** Sends the read that the lane was made for. */
  first(request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    this.#owner.onSent();
    let reply: Uint8Array | Promise<Uint8Array>;
    try {
      reply = this.#upstream.unary(request, call);
    } catch (error) {
      this.#next();
      throw error;
    }
    const next = () => this.#next();
    if (reply instanceof Promise) reply.then(next, next);
    else next();
    return reply;
  }

  /** Lets a read wait for the call after the one in flight. */
  gather(request: Uint8Array, call: Call): Promise<Uint8Array> {
    this.#gathering ??= new Flight(request, call);
    return this.#gathering.join(call);
  }

  #next(): void {
    this.#owner.onEnded();
    const flight = this.#gathering;
    this.#gathering = undefined;
    if (flight === undefined || flight.size === 0) {
      this.#owner.onIdle(this);
      return;
    }
    this.#owner.onSent();
    flight.send(this.#upstream, () => this.#next());
  }
}
