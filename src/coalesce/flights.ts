/**
 * Decides which call to etcd a read shares. Reads are the same when the bytes of the request and the identity of
 * the client are. Of the same reads at most one call is in flight, and one gathers behind it:
 *
 *     read ──▶ nothing in flight ────▶ sent at once
 *         └──▶ one is in flight ─────▶ joins the one that gathers; it is sent when the one in flight has ended
 *
 * A read never joins a call that was sent already. So etcd is asked after the read arrived, and its answer is one
 * that the client could have had from etcd itself: a linearizable read sees every write that was acknowledged
 * before it, and a serializable one does not fall behind what the same client saw before. "Sent" is when the call
 * is handed to the upstream, which may send it later or once more, but never earlier.
 */
import type { Call, Upstream } from '../rpc/contract.ts';
import { Flight, type FlightOwner } from './flight.ts';
import { identityOf } from './identity.ts';

/** What coalescing may hold. A read beyond a bound is forwarded by itself. */
export interface FlightLimits {
  /** Distinct reads in flight. */
  readonly maxFlights: number;
  /** Reads that share one call to etcd. */
  readonly maxMembers: number;
  /** Bytes of a request and its metadata, which have to be held to recognise the next one. */
  readonly maxKeyBytes: number;
}

/** A bound of {@link FlightLimits}, by the name it has in metrics. */
export type FlightLimit = 'flights' | 'members' | 'key_bytes';

/** Is told what becomes of reads, for metrics. */
export interface FlightObserver {
  /** A call was sent to etcd. */
  sent(): void;
  /** A sent call is over. */
  ended(): void;
  /** A read shares the call of another one. */
  joined(): void;
  /** A read was forwarded by itself because a bound was reached. */
  refused(limit: FlightLimit): void;
}

/** The reads now under way. */
export class Flights implements FlightOwner {
  readonly #upstream: Upstream;
  readonly #limits: FlightLimits;
  readonly #observer: FlightObserver;
  /** By key, the flight that was sent and has not ended. */
  readonly #inFlight = new Map<string, Flight>();

  constructor(upstream: Upstream, limits: FlightLimits, observer: FlightObserver) {
    this.#upstream = upstream;
    this.#limits = limits;
    this.#observer = observer;
  }

  /** Answers a read, with others like it where there are any. The request must not change afterwards. */
  read(request: Uint8Array, call: Call): Promise<Uint8Array> {
    const identity = identityOf(call.metadata);
    if (identity.length + request.length > this.#limits.maxKeyBytes)
      return this.#alone('key_bytes', request, call);
    const key = identity + latin1(request);
    const inFlight = this.#inFlight.get(key);
    if (inFlight !== undefined) return this.#gather(inFlight, request, call);
    if (this.#inFlight.size >= this.#limits.maxFlights) return this.#alone('flights', request, call);
    const flight = new Flight(key, request, call, this);
    const reply = flight.join(call);
    this.#send(flight);
    return reply;
  }

  /** The next flight of the same reads takes its turn. */
  ended(flight: Flight): void {
    this.#observer.ended();
    const { next } = flight;
    if (next !== undefined && next.size > 0) this.#send(next);
    else this.#inFlight.delete(flight.key);
  }

  #gather(inFlight: Flight, request: Uint8Array, call: Call): Promise<Uint8Array> {
    inFlight.next ??= new Flight(inFlight.key, request, call, this);
    const { next } = inFlight;
    if (next.size >= this.#limits.maxMembers) return this.#alone('members', request, call);
    if (next.size > 0) this.#observer.joined();
    return next.join(call);
  }

  #send(flight: Flight): void {
    this.#inFlight.set(flight.key, flight);
    this.#observer.sent();
    flight.send(this.#upstream);
  }

  #alone(limit: FlightLimit, request: Uint8Array, call: Call): Promise<Uint8Array> {
    this.#observer.refused(limit);
    return this.#upstream.unary(request, call);
  }
}

/** Bytes as a string of as many characters: equal exactly where the bytes are. */
function latin1(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString('latin1');
}
