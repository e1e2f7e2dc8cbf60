/**
 * The client of the etcd cluster: unary and streaming calls on bytes. The one place that knows connections.
 */
import type { Endpoint } from '../net/endpoint.ts';
import type { Call, ClientStream, ClientStreamListener, Upstream } from '../rpc/contract.ts';
import { tooLargeFromEtcd } from '../rpc/status.ts';
import type { CallEnvironment, UpstreamObserver } from './call-environment.ts';
import type { ChoiceOptions } from './choice-owner.ts';
import type { DialOptions } from './dial.ts';
import type { EndpointSource } from './endpoint-source.ts';
import { OtherEndpoints } from './other-endpoints.ts';
import { Pool } from './pool.ts';
import type { PoolObserver } from './pool-observer.ts';
import { StreamUpstreamCall } from './stream-call.ts';
import { UnaryUpstreamCall } from './unary-call.ts';

/** Where endpoints come from, and the bounds of calls to them. */
export interface ClusterOptions extends DialOptions {
  readonly source: EndpointSource;
  /** Calls that may wait for a connection. */
  readonly maxWaiting: number;
  /** Largest message in bytes accepted from etcd. */
  readonly maxReceiveBytes: number;
  /** Connections to the endpoint in use that calls of one kind may fill where etcd limits streams. */
  readonly maxConnections: number;
  /** How endpoints that serve are chosen among. */
  readonly choice?: ChoiceOptions;
  readonly observer: UpstreamObserver & PoolObserver;
}

/** How often a call may be sent beyond once to each endpoint. */
const EXTRA_ATTEMPTS = 4;

export class ClusterClient implements Upstream {
  readonly #pool: Pool;
  readonly #environment: CallEnvironment;
  readonly #elsewhere: OtherEndpoints;

  constructor(options: ClusterOptions) {
    const pool = new Pool(options);
    const receive = { maxBytes: options.maxReceiveBytes, tooLarge: tooLargeFromEtcd };
    this.#pool = pool;
    this.#elsewhere = new OtherEndpoints({ receive, dial: pool.dial.bind(pool) });
    this.#environment = {
      pool,
      observer: options.observer,
      get maxAttempts() {
        return pool.size + EXTRA_ATTEMPTS;
      },
      receive,
    };
  }

  /** Starts connecting; etcd need not be up. */
  start(): void {
    this.#pool.start();
  }

  /** The endpoint in use, if there is one. */
  get current(): Endpoint | undefined {
    return this.#pool.current;
  }

  /** The id of the cluster that is meant, in hex, be a member of it in use or not; undefined while it is not known. */
  get id(): string | undefined {
    return this.#pool.cluster;
  }

  /** All endpoints, the one in use first, the others by promise. */
  get all(): readonly Endpoint[] {
    const { current, others } = this.#pool;
    return current === undefined ? others : [current, ...others];
  }

  unary(request: Uint8Array, call: Call): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      new UnaryUpstreamCall(this.#environment, request, call, resolve, reject).start();
    });
  }

  /**
   * Puts a call that only reads to the endpoints that are not in use, for an answer that will do. Never rejects;
   * `undefined` when none of them has one.
   */
  askElsewhere(
    request: Uint8Array,
    call: Call,
    accepts: (reply: Uint8Array) => boolean,
  ): Promise<Uint8Array | undefined> {
    return this.#elsewhere.ask(this.#pool.others, request, call, accepts);
  }

  stream(call: Call, listener: ClientStreamListener): ClientStream {
    return new StreamUpstreamCall(this.#environment, call, listener);
  }

  close(): void {
    this.#elsewhere.close();
    this.#pool.close();
  }
}
