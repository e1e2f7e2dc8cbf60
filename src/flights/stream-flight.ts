/**
 * One streaming read of etcd on behalf of several clients that ask the same. Each gets every message at its own pace:
 * what the fastest has and the slowest has not is kept, once for all of them. etcd is held back only while nobody
 * reads. Too much kept is the fault of the slowest, and it has to go: the others do not wait for it.
 */
import type {
  Call,
  ClientStream,
  ClientStreamListener,
  ServerStream,
  ServerStreamListener,
  Upstream,
} from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import { OwnCall } from '../rpc/own-call.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';

/** What all streaming reads may keep for those of their clients that lag. */
export interface HeldMessages {
  /** Bytes kept now. */
  bytes: number;
  /** Bytes that may be kept; the one message that clients are being sent comes on top. */
  readonly limit: number;
}

/** Is told what becomes of a flight. */
export interface StreamFlightOwner {
  readonly held: HeldMessages;
  /** Later reads need not wait for this flight any more: it has ended, or its own clients hold it up. Called once. */
  onLanded(flight: StreamFlight): void;
  /** A client was let go because too much was kept for it. */
  onTooSlow(): void;
}

export class StreamFlight implements ClientStreamListener {
  readonly #owner: StreamFlightOwner;
  readonly #request: Uint8Array;
  readonly #passengers = new Set<Passenger>();
  /** The messages that some passenger has not been sent. */
  #messages: Uint8Array[] = [];
  /** How many came before those. */
  #gone = 0;
  #etcd: ClientStream | undefined;
  #paused = false;
  #landed = false;
  #end: { readonly status: Status; readonly trailers: Metadata } | undefined;

  constructor(owner: StreamFlightOwner, request: Uint8Array) {
    this.#owner = owner;
    this.#request = request;
  }

  /** How many clients it has. */
  get size(): number {
    return this.#passengers.size;
  }

  /** Adds a client. Only before it is sent. */
  join(client: ServerStream, call: Call): void {
    if (this.#etcd !== undefined) throw new Error('a flight takes no passengers after it was sent');
    const passenger = new Passenger(this, client, call);
    this.#passengers.add(passenger);
    client.listener = passenger;
  }

  /** Asks etcd, in the name of its passengers, whose metadata are the same. */
  send(upstream: Upstream): void {
    let deadline = 0;
    let first: Call | undefined;
    for (const { call } of this.#passengers) {
      first ??= call;
      deadline = Math.max(deadline, call.deadline);
    }
    if (first === undefined) return;
    this.#etcd = upstream.stream(new OwnCall(first.method, first.metadata, deadline), this);
    this.#etcd.send(this.#request);
    this.#etcd.halfClose();
  }

  onHeaders(metadata: Metadata): void {
    for (const { client, call } of this.#passengers) {
      call.responseHeaders = metadata;
      client.sendHeaders();
    }
  }

  onMessage(message: Uint8Array): void {
    const { held } = this.#owner;
    this.#messages.push(message);
    held.bytes += message.length;
    for (const passenger of this.#passengers) if (!passenger.blocked) this.#pump(passenger);
    this.#trim();
    while (held.bytes > held.limit && this.#passengers.size > 1 && this.#messages.length > 1)
      this.#dropSlowest();
    this.#flow();
  }

  onDrain(): void {
    // The request is one message; nothing is held back.
  }

  onEnd(status: Status, trailers: Metadata): void {
    this.#end = { status, trailers };
    for (const passenger of this.#passengers) if (!passenger.blocked) this.#pump(passenger);
    this.#land();
  }

  /** A passenger reads again. */
  onDrained(passenger: Passenger): void {
    passenger.blocked = false;
    this.#pump(passenger);
    this.#trim();
    this.#flow();
  }

  /** A passenger is gone. */
  onLeft(passenger: Passenger): void {
    if (!this.#passengers.delete(passenger)) return;
    this.#trim();
    if (this.#passengers.size > 0 || this.#etcd === undefined) this.#flow();
    else if (this.#end === undefined) {
      this.#etcd.cancel();
      this.#land();
    }
  }

  /** Sends a passenger what it takes. */
  #pump(passenger: Passenger): void {
    while (passenger.next < this.#gone + this.#messages.length) {
      const message = this.#messages[passenger.next - this.#gone] as Uint8Array;
      passenger.next++;
      if (passenger.client.send(message)) continue;
      passenger.blocked = true;
      return;
    }
    if (this.#end !== undefined) this.#finish(passenger, this.#end.status, this.#end.trailers);
  }

  #finish(passenger: Passenger, status: Status, trailers: Metadata): void {
    this.#passengers.delete(passenger);
    if (trailers !== NO_METADATA) passenger.call.responseTrailers = trailers;
    passenger.client.end(status);
  }

  /** Forgets what everybody has been sent. */
  #trim(): void {
    let least = this.#gone + this.#messages.length;
    for (const { next } of this.#passengers) if (next < least) least = next;
    const count = least - this.#gone;
    if (count === 0) return;
    for (let i = 0; i < count; i++) this.#owner.held.bytes -= (this.#messages[i] as Uint8Array).length;
    this.#messages = this.#messages.slice(count);
    this.#gone = least;
  }

  #dropSlowest(): void {
    let slowest: Passenger | undefined;
    for (const passenger of this.#passengers)
      if (slowest === undefined || passenger.next < slowest.next) slowest = passenger;
    if (slowest === undefined) return;
    this.#owner.onTooSlow();
    this.#finish(slowest, new RpcError(Code.UNAVAILABLE, TOO_SLOW), NO_METADATA);
    this.#trim();
  }

  /** Lets etcd go on if anybody reads. */
  #flow(): void {
    if (this.#etcd === undefined || this.#end !== undefined || this.#passengers.size === 0) return;
    let paused = true;
    for (const { blocked } of this.#passengers) paused &&= blocked;
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) {
      this.#etcd.pause();
      this.#land();
    } else this.#etcd.resume();
  }

  #land(): void {
    if (this.#landed) return;
    this.#landed = true;
    this.#owner.onLanded(this);
  }
}

/** One client's part in a flight. */
class Passenger implements ServerStreamListener {
  readonly client: ServerStream;
  readonly call: Call;
  /** The number of the message that it gets next. */
  next = 0;
  /** It does not read. */
  blocked = false;
  readonly #flight: StreamFlight;

  constructor(flight: StreamFlight, client: ServerStream, call: Call) {
    this.#flight = flight;
    this.client = client;
    this.call = call;
  }

  onMessage(): void {
    // A client that has closed its side sends nothing.
  }

  onHalfClose(): void {
    // It was half-closed when it joined.
  }

  onDrain(): void {
    this.#flight.onDrained(this);
  }

  onCancel(): void {
    this.#flight.onLeft(this);
  }
}

const TOO_SLOW = 'etcd-connect-proxy: the client does not keep up with the others that read the same';
