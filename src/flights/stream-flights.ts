/**
 * Streaming reads (`KV.RangeStream` of newer etcds) that ask the same share a call, by the rule of `lane.ts`: one
 * under way, one that gathers behind it, and nobody joins a call that was sent before. A call that its own clients
 * hold up does not delay later reads: the next call is sent without waiting for it.
 */

import { callIdentityOf } from '../clients/identity.ts';
import { latin1 } from '../etcd/latin1.ts';
import type { Call, ServerStream, ServerStreamListener, StreamHandler, Upstream } from '../rpc/contract.ts';
import { PassingMap } from '../rpc/passing-map.ts';
import type { HeldMessages } from './backlog.ts';
import type { FlightLimits, FlightObserver } from './flights.ts';
import { StreamFlight, type StreamFlightOwner } from './stream-flight.ts';

/** What is kept for clients that lag behind others of the same read, in all, in bytes. */
const HELD_BYTES = 64 << 20;

/** Where shared streams go, and their bounds. */
export interface StreamFlightsOptions {
  readonly upstream: Upstream;
  /** For what cannot be shared. */
  readonly forward: StreamHandler;
  readonly limits: FlightLimits;
  readonly observer: FlightObserver;
  /** See {@link HeldMessages.limit}; 64 MiB by default. */
  readonly heldBytes?: number;
}

/** The streaming reads now under way. */
export class StreamFlights {
  readonly options: StreamFlightsOptions;
  readonly held: HeldMessages;
  readonly #lanes = new PassingMap<string, StreamLane>();

  constructor(options: StreamFlightsOptions) {
    this.options = options;
    this.held = { bytes: 0, limit: options.heldBytes ?? HELD_BYTES };
  }

  /** The handler of the method. */
  readonly serve: StreamHandler = (client, call) => {
    client.listener = new OpeningStream(this, client, call);
  };

  /** Answers a read whose request has arrived, and is all that the client sends. */
  read(request: Uint8Array, client: ServerStream, call: Call): boolean {
    const { limits, observer } = this.options;
    const identity = callIdentityOf(call.metadata, limits.maxKeyBytes);
    if (identity === undefined || identity.length + request.length > limits.maxKeyBytes) {
      observer.onRefused('key_bytes');
      return false;
    }
    const key = identity + latin1(request);
    const lane = this.#lanes.get(key);
    if (lane !== undefined) return lane.gather(request, client, call);
    if (this.#lanes.size >= limits.maxFlights) {
      observer.onRefused('flights');
      return false;
    }
    const own = new StreamLane(this, () => this.#lanes.delete(key));
    this.#lanes.set(key, own);
    own.first(request, client, call);
    return true;
  }
}

/** All streaming reads of one kind, while there are any. */
class StreamLane implements StreamFlightOwner {
  readonly held: HeldMessages;
  readonly #options: StreamFlightsOptions;
  readonly #idle: () => void;
  #gathering: StreamFlight | undefined;

  constructor({ options, held }: StreamFlights, idle: () => void) {
    this.#options = options;
    this.held = held;
    this.#idle = idle;
  }

  first(request: Uint8Array, client: ServerStream, call: Call): void {
    this.#gathering = new StreamFlight(this, request);
    this.#gathering.join(client, call);
    this.#send();
  }

  gather(request: Uint8Array, client: ServerStream, call: Call): boolean {
    const { limits, observer } = this.#options;
    this.#gathering ??= new StreamFlight(this, request);
    const { size } = this.#gathering;
    if (size >= limits.maxPassengers) {
      observer.onRefused('members');
      return false;
    }
    if (size > 0) observer.onJoined();
    this.#gathering.join(client, call);
    return true;
  }

  onLanded(): void {
    this.#options.observer.onEnded();
    this.#send();
  }

  onTooSlow(): void {
    this.#options.observer.onRefused('held_bytes');
  }

  #send(): void {
    const flight = this.#gathering;
    this.#gathering = undefined;
    if (flight === undefined || flight.size === 0) {
      this.#idle();
      return;
    }
    this.#options.observer.onSent();
    flight.send(this.#options.upstream);
  }
}

/** Waits for a client's request. A client that sends anything but one message is left to etcd. */
class OpeningStream implements ServerStreamListener {
  readonly #flights: StreamFlights;
  readonly #client: ServerStream;
  readonly #call: Call;
  #request: Uint8Array | undefined;

  constructor(flights: StreamFlights, client: ServerStream, call: Call) {
    this.#flights = flights;
    this.#client = client;
    this.#call = call;
  }

  onMessage(message: Uint8Array): void {
    if (this.#request === undefined) this.#request = message;
    else this.#forward().onMessage(message);
  }

  onHalfClose(): void {
    const request = this.#request;
    if (request !== undefined && this.#flights.read(request, this.#client, this.#call)) return;
    this.#forward().onHalfClose();
  }

  onDrain(): void {
    // Nothing was sent yet.
  }

  onCancel(): void {
    // Nothing was asked yet.
  }

  /** Hands the client over, with what it has sent. */
  #forward(): ServerStreamListener {
    this.#flights.options.forward(this.#client, this.#call);
    const { listener } = this.#client;
    if (this.#request !== undefined) listener.onMessage(this.#request);
    return listener;
  }
}
