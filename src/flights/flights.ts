/**
 * Finds the reads that are the same: those with the same bytes of the request from clients of the same identity.
 * `lane.ts` says what becomes of them. What cannot be shared within the bounds is forwarded by itself.
 */

import { ANONYMOUS, callIdentityOf } from '../clients/identity.ts';
import { latin1 } from '../etcd/latin1.ts';
import type { Call, UnaryUpstream } from '../rpc/contract.ts';
import { PassingMap } from '../rpc/passing-map.ts';
import { Lane, type LaneOwner } from './lane.ts';

/** What coalescing may hold. A read beyond a bound is forwarded by itself. */
export interface FlightLimits {
  /** Distinct reads in flight. */
  readonly maxFlights: number;
  /** Reads that share one call to etcd. */
  readonly maxPassengers: number;
  /** Bytes of a request and its metadata, which have to be held to recognise the next one. */
  readonly maxKeyBytes: number;
}

/** The bounds that hold unless told otherwise, but for the one that is a flag. */
export const FLIGHT_BOUNDS: Omit<FlightLimits, 'maxFlights'> = {
  maxPassengers: 10_000,
  // Real requests are far smaller; a larger one costs etcd more than the call that could be saved.
  maxKeyBytes: 8192,
};

/** A bound of {@link FlightLimits}, or of what is kept for slow clients of streams, by the name it has in metrics. */
export type FlightLimit = 'flights' | 'members' | 'key_bytes' | 'held_bytes';

/** Is told what becomes of reads, for metrics. */
export interface FlightObserver {
  /** A call was sent to etcd. */
  onSent(): void;
  /** A sent call is over. */
  onEnded(): void;
  /** A read shares the call of another one. */
  onJoined(): void;
  /** A bound was reached: a read was forwarded by itself, or a slow client of a stream had to go. */
  onRefused(limit: FlightLimit): void;
}

/** The reads now under way. */
export class Flights implements LaneOwner, UnaryUpstream {
  readonly #upstream: UnaryUpstream;
  readonly #limits: FlightLimits;
  readonly #observer: FlightObserver;
  /** By the bytes of the request, for clients without metadata: most of them, so they get the shorter key. */
  readonly #anonymous = new PassingMap<string, Lane>();
  /** By identity and the bytes of the request. */
  readonly #named = new PassingMap<string, Lane>();

  constructor(upstream: UnaryUpstream, limits: FlightLimits, observer: FlightObserver) {
    this.#upstream = upstream;
    this.#limits = limits;
    this.#observer = observer;
  }

  /** Answers a read, with others like it where there are any. The request must not change afterwards. */
  unary(request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const { maxKeyBytes } = this.#limits;
    const identity = callIdentityOf(call.metadata, maxKeyBytes);
    if (identity === undefined || identity.length + request.length > maxKeyBytes)
      return this.#alone('key_bytes', request, call);
    const anonymous = identity === ANONYMOUS;
    const key = anonymous ? latin1(request) : identity + latin1(request);
    const lanes = anonymous ? this.#anonymous : this.#named;
    const lane = lanes.get(key);
    if (lane !== undefined) return this.#gather(lane, request, call);
    if (this.#anonymous.size + this.#named.size >= this.#limits.maxFlights)
      return this.#alone('flights', request, call);
    const own = new Lane(key, this.#upstream, this);
    lanes.set(key, own);
    return own.first(request, call);
  }

  onSent(): void {
    this.#observer.onSent();
  }

  onEnded(): void {
    this.#observer.onEnded();
  }

  onIdle(lane: Lane): void {
    const lanes = this.#anonymous.get(lane.key) === lane ? this.#anonymous : this.#named;
    lanes.delete(lane.key);
  }

  #gather(lane: Lane, request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    const { gathered } = lane;
    if (gathered >= this.#limits.maxPassengers) return this.#alone('members', request, call);
    if (gathered > 0) this.#observer.onJoined();
    return lane.gather(request, call);
  }

  #alone(limit: FlightLimit, request: Uint8Array, call: Call): Uint8Array | Promise<Uint8Array> {
    this.#observer.onRefused(limit);
    return this.#upstream.unary(request, call);
  }
}
