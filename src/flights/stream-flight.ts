/**
 * One streaming read of etcd on behalf of several clients that ask the same. Each gets every message at its own pace:
 * what the fastest has and the slowest has not is kept, once for all of them. etcd is held back only while nobody
 * reads. Too much kept is the fault of the slowest, and they have to go: the others do not wait for them.
 *
 * A passenger reads, and has been sent all that came, or it waits in the backlog for what it gets next. So one that leaves
 * or reads again is no work for the others, of whom there may be thousands.
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
import { Backlog, type HeldMessages } from './backlog.ts';

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
  /** Those that read. */
  readonly #reading = new Set<Passenger>();
  readonly #backlog: Backlog<Passenger>;
  /** Passengers are being sent messages: those that read may not have been sent all. */
  #pumping = false;
  #etcd: ClientStream | undefined;
  #paused = false;
  #landed = false;
  #end: { readonly status: Status; readonly trailers: Metadata } | undefined;

  constructor(owner: StreamFlightOwner, request: Uint8Array) {
    this.#owner = owner;
    this.#request = request;
    this.#backlog = new Backlog(owner.held);
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
    this.#reading.add(passenger);
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
    this.#backlog.add(message);
    this.#pumpAll(this.#reading);
    this.#dropSlowest();
    this.#settle();
  }

  onDrain(): void {
    // The request is one message; nothing is held back.
  }

  onEnd(status: Status, trailers: Metadata): void {
    this.#end = { status, trailers };
    this.#pumpAll(this.#reading);
    this.#settle();
    this.#land();
  }

  /** A passenger reads again. */
  onDrained(passenger: Passenger): void {
    if (!this.#passengers.has(passenger) || this.#reading.has(passenger)) return;
    this.#backlog.leave(passenger, passenger.next);
    this.#reading.add(passenger);
    this.#pumpAll([passenger]);
    this.#settle();
  }

  /** A passenger is gone. */
  onLeft(passenger: Passenger): void {
    if (!this.#remove(passenger)) return;
    this.#settle();
    if (this.#passengers.size > 0 || this.#etcd === undefined || this.#end !== undefined) return;
    this.#etcd.cancel();
    this.#land();
  }

  /** Sends passengers that read what they take. Meanwhile any may leave, and one that waits may read again. */
  #pumpAll(passengers: Iterable<Passenger>): void {
    const outer = this.#pumping;
    this.#pumping = true;
    try {
      for (const passenger of passengers) this.#pump(passenger);
    } finally {
      this.#pumping = outer;
    }
  }

  #pump(passenger: Passenger): void {
    for (;;) {
      const message = this.#backlog.at(passenger.next);
      if (message === undefined) break;
      passenger.next++;
      const goesOn = passenger.client.send(message);
      if (!this.#reading.has(passenger)) return;
      if (goesOn) continue;
      this.#reading.delete(passenger);
      this.#backlog.wait(passenger, passenger.next);
      return;
    }
    if (this.#end !== undefined) this.#finish(passenger, this.#end.status, this.#end.trailers);
  }

  #finish(passenger: Passenger, status: Status, trailers: Metadata): void {
    if (!this.#remove(passenger)) return;
    if (trailers !== NO_METADATA) passenger.call.responseTrailers = trailers;
    passenger.client.end(status);
  }

  /** @returns whether it was there */
  #remove(passenger: Passenger): boolean {
    if (!this.#passengers.delete(passenger)) return false;
    if (!this.#reading.delete(passenger)) this.#backlog.leave(passenger, passenger.next);
    return true;
  }

  /** While too much is kept, those go who wait for the first message, all of them: before that, nothing gets free. */
  #dropSlowest(): void {
    const { held } = this.#owner;
    this.#backlog.trim();
    while (held.bytes > held.limit && this.#backlog.length > 1) {
      const { slowest } = this.#backlog;
      // Where nobody is ahead of them, they hold up nobody.
      if (slowest.size === this.#passengers.size) return;
      for (const passenger of slowest) {
        this.#owner.onTooSlow();
        this.#finish(passenger, new RpcError(Code.UNAVAILABLE, TOO_SLOW), NO_METADATA);
      }
      this.#backlog.trim();
    }
  }

  /** Forgets what everybody has been sent, and lets etcd go on if anybody reads. */
  #settle(): void {
    if (this.#pumping) return;
    this.#backlog.trim();
    if (this.#etcd === undefined || this.#end !== undefined || this.#passengers.size === 0) return;
    const paused = this.#reading.size === 0;
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
