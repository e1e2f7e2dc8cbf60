/**
 * A unary call to etcd, with the failures of connections hidden where that is safe: a call that etcd certainly
 * did not process, and one that changes nothing, is sent again; a write whose fate is unknown never is.
 */
import { ClientCall, type Ending } from '../grpc/client-call.ts';
import type { ReceiveLimits } from '../grpc/envelope.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { UpstreamObserver } from './cluster.ts';
import type { Pool, Route, Waiter } from './pool.ts';
import { requestBlock } from './request-block.ts';

/** What calls to etcd share. */
export interface CallEnvironment {
  readonly pool: Pool;
  readonly receive: ReceiveLimits;
  readonly observer: UpstreamObserver;
  /** How often a call may be sent, the first time included. */
  readonly maxAttempts: number;
}

/** etcd's answer to a linearizable read that an election interrupted: nothing was done, asking again is right. */
const LEADER_CHANGED = 'etcdserver: leader changed';

export class UnaryUpstreamCall implements Waiter, Cancellable {
  readonly deadline: number;
  readonly long = false;
  readonly #environment: CallEnvironment;
  readonly #request: Uint8Array;
  readonly #call: Call;
  readonly #resolve: (reply: Uint8Array) => void;
  readonly #reject: (error: RpcError) => void;
  #attempt: ClientCall | undefined;
  #attempts = 0;
  #sentAt = 0;
  #reply: Uint8Array | undefined;

  constructor(
    environment: CallEnvironment,
    request: Uint8Array,
    call: Call,
    resolve: (reply: Uint8Array) => void,
    reject: (error: RpcError) => void,
  ) {
    this.deadline = call.deadline;
    this.#environment = environment;
    this.#request = request;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
    call.work = this;
  }

  /** Sends the call on the connection in use, or waits for one. */
  start(): void {
    const route = this.#environment.pool.route(this);
    if (route === undefined) this.#environment.pool.wait(this);
    else this.onRoute(route);
  }

  onRoute(route: Route): void {
    const { endpoint, connection } = route;
    this.#attempts++;
    this.#sentAt = performance.now();
    this.#reply = undefined;
    this.#attempt = new ClientCall(
      connection,
      requestBlock(endpoint, this.#call),
      this,
      this.#environment.receive,
      this.deadline,
      endpoint.name,
    );
    this.#attempt.send(this.#request, true);
  }

  onUnavailable(cause: string): void {
    this.#fail(new RpcError(Code.UNAVAILABLE, `no connection to etcd: ${cause}`));
  }

  cancel(): void {
    this.#environment.pool.withdraw(this);
    this.#attempt?.cancel();
    this.#fail(new RpcError(Code.CANCELLED, 'context canceled'));
  }

  onHeaders(metadata: Metadata): void {
    this.#call.responseHeaders = metadata;
  }

  onMessage(message: Uint8Array): void {
    this.#reply = message;
  }

  onDrain(): void {
    // The one message was queued as a whole.
  }

  onEnding(ending: Ending): void {
    this.#attempt = undefined;
    this.#environment.observer.answered(
      this.#call.method,
      ending.status.code,
      performance.now() - this.#sentAt,
    );
    if (this.#mayRetry(ending)) {
      this.#environment.observer.retried(this.#call.method);
      this.start();
      return;
    }
    this.#call.responseTrailers = ending.trailers;
    const { code, message, details } = ending.status;
    if (code !== Code.OK)
      this.#fail(ending.answered ? new RpcError(code, message, details) : this.#unknownFate(ending));
    else if (this.#reply === undefined)
      this.#fail(new RpcError(Code.INTERNAL, 'grpc: etcd answered without a message'));
    else {
      this.#call.work = undefined;
      this.#resolve(this.#reply);
    }
  }

  #mayRetry(ending: Ending): boolean {
    if (this.#call.cancelled || this.#attempts >= this.#environment.maxAttempts) return false;
    const { idempotent } = this.#call.method;
    if (ending.answered) return idempotent && ending.status.message === LEADER_CHANGED;
    return ending.unprocessed || (idempotent && ending.status.code === Code.UNAVAILABLE);
  }

  #unknownFate(ending: Ending): RpcError {
    if (this.#call.method.idempotent || ending.unprocessed)
      return new RpcError(ending.status.code, ending.status.message);
    return new RpcError(
      ending.status.code,
      `${ending.status.message}; the call may or may not have taken effect`,
    );
  }

  #fail(error: RpcError): void {
    this.#call.work = undefined;
    this.#reject(error);
  }
}
