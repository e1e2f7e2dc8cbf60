/**
 * One call to etcd on behalf of several clients that ask the same. It gathers passengers until it is sent, and takes
 * none afterwards; its answer, whatever it is, is the answer of every passenger. To the upstream it is a call like
 * any other.
 */
import { ITSELF } from '../rpc/client.ts';
import type { Call, Cancellable, UnaryUpstream } from '../rpc/contract.ts';
import { forwardLater } from '../rpc/forward.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import { OPEN_OUTLET } from '../rpc/open-outlet.ts';
import { RpcError } from '../rpc/status.ts';

/** Passengers that get the answer at once. Each costs some microseconds, with what is sent to it. */
const PASSENGERS_PER_TURN = 500;

/** A call to etcd and those who wait for its answer. */
export class Flight implements Call {
  readonly method: Method;
  readonly client = ITSELF;
  readonly authority = '';
  readonly metadata: Metadata;
  /** The latest of the passengers' deadlines, known when the flight is sent. */
  deadline = Number.POSITIVE_INFINITY;
  cancelled = false;
  readonly outlet = OPEN_OUTLET;
  work: Cancellable | undefined;
  responseHeaders: Metadata = NO_METADATA;
  responseTrailers: Metadata = NO_METADATA;

  readonly #request: Uint8Array;
  #passengers: Passenger[] = [];
  #sent = false;

  /** @param call any passenger's call; what etcd is told of it is the same for all of them */
  constructor(request: Uint8Array, call: Call) {
    this.method = call.method;
    this.metadata = call.metadata;
    this.#request = request;
  }

  /** How many wait for the answer. */
  get size(): number {
    return this.#passengers.length;
  }

  /** Adds a passenger. Its promise settles with the flight, or when its own call is cancelled. */
  join(call: Call): Promise<Uint8Array> {
    if (this.#sent) throw new Error('a flight takes no passengers after it was sent');
    return new Promise((resolve, reject) => {
      const passengers = this.#passengers;
      passengers.push(new Passenger(this, call, passengers.length, resolve, reject));
    });
  }

  /** Sends the call. From here on it has the passengers it has. `onEnd` runs before they get the answer. */
  send(upstream: UnaryUpstream, onEnd: () => void): void {
    this.#sent = true;
    this.deadline = latestDeadline(this.#passengers);
    forwardLater(upstream, this.#request, this).then(
      (reply) => {
        onEnd();
        this.#deliver((passenger) => passenger.resolve(reply));
      },
      (error: unknown) => {
        onEnd();
        this.#deliver((passenger) => passenger.reject(error));
      },
    );
  }

  /** Removes a passenger. A call that nobody waits for any more is abandoned. */
  leave(passenger: Passenger): void {
    const last = this.#passengers.pop() as Passenger;
    if (last !== passenger) {
      this.#passengers[passenger.index] = last;
      last.index = passenger.index;
    }
    if (this.#passengers.length > 0 || !this.#sent) return;
    this.cancelled = true;
    this.work?.cancel();
  }

  /** Gives the passengers the answer, many in a turn of the event loop, and all others a turn between. */
  #deliver(settle: (passenger: Passenger) => void): void {
    for (let count = 0; count < PASSENGERS_PER_TURN; count++) {
      const passenger = this.#passengers.pop();
      if (passenger === undefined) return;
      const { call } = passenger;
      call.work = undefined;
      call.responseHeaders = this.responseHeaders;
      call.responseTrailers = this.responseTrailers;
      settle(passenger);
    }
    if (this.#passengers.length > 0) setImmediate(() => this.#deliver(settle));
  }
}

/** One client's part in a flight. */
class Passenger implements Cancellable {
  readonly call: Call;
  readonly resolve: (reply: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
  /** Its place among the passengers. */
  index: number;
  readonly #flight: Flight;

  constructor(
    flight: Flight,
    call: Call,
    index: number,
    resolve: (reply: Uint8Array) => void,
    reject: (error: unknown) => void,
  ) {
    this.#flight = flight;
    this.call = call;
    this.index = index;
    this.resolve = resolve;
    this.reject = reject;
    call.work = this;
  }

  cancel(): void {
    this.#flight.leave(this);
    this.reject(RpcError.cancelled());
  }
}

function latestDeadline(passengers: readonly Passenger[]): number {
  let latest = 0;
  for (const { call } of passengers) if (call.deadline > latest) latest = call.deadline;
  return latest;
}
