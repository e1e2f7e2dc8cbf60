/**
 * Puts reads to other endpoints than the one in use, one after the other, for the rare ones that the endpoint in use cannot
 * answer well enough. When it is behind and cannot catch up, these are all serializable reads: so they share a connection to
 * each endpoint, which lives as long as one of them waits there, and an endpoint that cannot be connected rests.
 */
import type { ReceiveLimits } from '../grpc/envelope.ts';
import type { Http2Connection } from '../http2/index.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { Call } from '../rpc/contract.ts';
import type { ConnectionOwner, Dial } from './dial.ts';
import { Visit } from './visit.ts';

/** An endpoint that could not be connected is not dialled again for so long. Milliseconds. */
const REST_MS = 1000;

/** What visits need. */
export interface VisitOptions {
  dial(endpoint: Endpoint, owner: ConnectionOwner): Dial;
  readonly receive: ReceiveLimits;
}

/** The endpoints that reads are put to. */
export class OtherEndpoints {
  readonly #options: VisitOptions;
  /** The connections that further visits join, open or being opened. */
  readonly #shared = new Map<Endpoint, SharedConnection>();
  /** Until when endpoints rest, in milliseconds of `performance.now()`. */
  readonly #rests = new WeakMap<Endpoint, number>();
  #closed = false;

  constructor(options: VisitOptions) {
    this.#options = options;
  }

  /** The first answer of one of the endpoints that will do; `undefined` when there is none. Never rejects. */
  async ask(
    endpoints: readonly Endpoint[],
    request: Uint8Array,
    call: Call,
    accepts: (reply: Uint8Array) => boolean,
  ): Promise<Uint8Array | undefined> {
    for (const endpoint of endpoints) {
      if (this.#closed || call.cancelled || performance.now() >= call.deadline) return undefined;
      const reply = await this.#visit(endpoint, request, call);
      if (reply !== undefined && accepts(reply)) return reply;
    }
    return undefined;
  }

  /** Ends all of them. */
  close(): void {
    this.#closed = true;
    for (const connection of [...this.#shared.values()]) connection.close();
  }

  async #visit(endpoint: Endpoint, request: Uint8Array, call: Call): Promise<Uint8Array | undefined> {
    if (performance.now() < (this.#rests.get(endpoint) ?? 0)) return undefined;
    const connection = this.#shared.get(endpoint) ?? this.#open(endpoint);
    return new Promise((resolve) => {
      const visit = new Visit(endpoint, request, call, this.#options.receive, (reply) => {
        connection.leave(visit);
        resolve(reply);
      });
      call.work = visit;
      connection.join(visit);
    });
  }

  #open(endpoint: Endpoint): SharedConnection {
    const connection = new SharedConnection((owner) => this.#options.dial(endpoint, owner), {
      onFailed: () => this.#rests.set(endpoint, performance.now() + REST_MS),
      onOver: () => {
        if (this.#shared.get(endpoint) === connection) this.#shared.delete(endpoint);
      },
    });
    this.#shared.set(endpoint, connection);
    return connection;
  }
}

/** Hears of a connection. */
interface SharedConnectionOwner {
  /** It could not be opened. */
  onFailed(): void;
  /** It is of no use to anybody else. May be called several times. */
  onOver(): void;
}

/** A connection that is there for some visits. It is closed behind the last one. */
class SharedConnection implements ConnectionOwner {
  readonly #owner: SharedConnectionOwner;
  readonly #dial: Dial;
  readonly #visits = new Set<Visit>();
  #connection: Http2Connection | undefined;

  constructor(dial: (owner: ConnectionOwner) => Dial, owner: SharedConnectionOwner) {
    this.#owner = owner;
    this.#dial = dial(this);
  }

  join(visit: Visit): void {
    this.#visits.add(visit);
    if (this.#connection !== undefined) visit.begin(this.#connection);
  }

  leave(visit: Visit): void {
    this.#visits.delete(visit);
    // It may be dead, and the next ones have another try.
    if (visit.isLate || this.#visits.size === 0) this.#owner.onOver();
    if (this.#visits.size === 0) this.#dial.close();
  }

  /** Ends what is under way. */
  close(): void {
    for (const visit of [...this.#visits]) visit.cancel();
  }

  onConnected(connection: Http2Connection): void {
    this.#connection = connection;
    for (const visit of [...this.#visits]) visit.begin(connection);
  }

  onFailed(): void {
    this.#owner.onFailed();
    this.#owner.onOver();
    this.close();
  }

  /** What is under way there is answered or ends by itself. */
  onLost(): void {
    this.#owner.onOver();
  }

  onSpent(): void {
    this.#owner.onOver();
  }

  onStreamSlots(): void {
    // Who finds no place goes on to the next endpoint.
  }

  onLimit(): void {
    // Small calls reach none but for the size of an answer, which ends its call.
  }

  onFault(error: unknown): void {
    throw error;
  }

  pingsIdle(): boolean {
    return false;
  }
}
