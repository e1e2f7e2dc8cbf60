/**
 * A unary call to etcd, with the failures of connections and members hidden where that is safe: a call that etcd
 * certainly did not process, and one that changes nothing, is sent again; a write whose fate is unknown never is.
 */
import { namesLease } from '../etcd/lease-field.ts';
import { refusalIn, saysLeaderChanged } from '../etcd/words.ts';
import { ClientCall, type ClientCallListener, type Ending } from '../grpc/client-call.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import type { Metadata } from '../rpc/metadata.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { Accuser } from './accusers.ts';
import type { CallEnvironment } from './call-environment.ts';
import { requestBlock } from './request-block.ts';
import type { Route } from './route.ts';
import { type Traffic, trafficOf } from './traffic.ts';
import type { Asked } from './unanswered.ts';
import type { Waiter } from './waiting-calls.ts';

export class UnaryUpstreamCall implements Waiter, Cancellable, Asked, Accuser {
  readonly deadline: number;
  readonly traffic: Traffic;
  askedAt = 0;
  before: Asked | undefined = undefined;
  after: Asked | undefined = undefined;
  listed = false;
  readonly #environment: CallEnvironment;
  readonly #request: Uint8Array;
  readonly #call: Call;
  readonly #resolve: (reply: Uint8Array) => void;
  readonly #reject: (error: RpcError) => void;
  #route: Route | undefined;
  #attempt: ClientCall | undefined;
  /** Attempts at a `waiting` call on endpoints that were left. See {@link onLeft}. */
  #earlier: ClientCall[] = [];
  #attempts = 0;
  #reply: Uint8Array | undefined;
  /** How the latest attempt ended. Set while a survey decides whether the call is sent again. */
  #ending: Ending | undefined;

  constructor(
    environment: CallEnvironment,
    request: Uint8Array,
    call: Call,
    resolve: (reply: Uint8Array) => void,
    reject: (error: RpcError) => void,
  ) {
    this.deadline = call.deadline;
    this.traffic = trafficOf(call.method);
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
    this.#reply = undefined;
    this.#route = route;
    const { pace } = this.#call.method;
    if (pace === 'prompt') route.asks(this);
    else this.askedAt = performance.now();
    if (pace === 'waiting') route.lasting.add(this);
    this.#attempt = new ClientCall(
      connection,
      requestBlock(endpoint, this.#call, this.#toldDeadline()),
      this,
      this.#environment.receive,
      this.deadline,
      endpoint.name,
    );
    this.#attempt.send(this.#request, true);
  }

  /**
   * At its deadline etcd would delete the key of a `Lock`, which another attempt may hold by then; so etcd is told of none.
   * The call is cancelled when its client gives it up.
   */
  #toldDeadline(): number {
    const waits = this.#call.method.pace === 'waiting';
    return waits && namesLease(this.#request) ? Number.POSITIVE_INFINITY : this.deadline;
  }

  onUnavailable(error: RpcError): void {
    this.#fail(error);
  }

  cancel(): void {
    this.#environment.pool.withdraw(this);
    this.#giveUpAttempt();
    for (const attempt of this.#earlier) attempt.cancel();
    this.#ending = undefined;
    this.#fail(RpcError.cancelled());
  }

  /**
   * What changes nothing is asked elsewhere; a write ends where it was sent. A `Lock` with a lease is asked elsewhere too,
   * but the first attempt is not cancelled: its member would delete the key, which both attempts share. It must have begun,
   * so that the key is there: otherwise that member may make it later, when its holder has let go of it.
   */
  onLeft(route: object): void {
    if (this.#route !== route || this.#attempt === undefined) return;
    const { idempotent, pace } = this.#call.method;
    if (this.#attempts >= this.#environment.maxAttempts) return;
    if (pace === 'waiting') {
      if (!namesLease(this.#request) || !this.#route.unanswered.hasBegun(this.askedAt)) return;
      this.#attempt.handOver(DEAF);
      this.#earlier.push(this.#attempt);
      this.#attempt = undefined;
      this.#route.lasting.delete(this);
    } else if (idempotent) this.#giveUpAttempt();
    else return;
    this.#again();
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
    const route = this.#route as Route;
    const { code } = ending.status;
    if (code === Code.DEADLINE_EXCEEDED) route.unanswered.onGivenUp(this);
    else route.unanswered.onAnswered(this);
    route.lasting.delete(this);
    this.#attempt = undefined;
    this.#environment.observer.onAnswered(this.#call.method, code, performance.now() - this.askedAt);
    if (code === Code.OK) {
      route.answers++;
      this.#succeed(ending);
    } else if (ending.answered) this.#refused(route, ending);
    else if (this.#mayRepeat(ending.unprocessed) && isBroken(ending)) this.#again();
    else this.#failWith(ending);
  }

  onJudged(again: boolean): void {
    const ending = this.#ending;
    if (ending === undefined) return;
    this.#ending = undefined;
    if (again) this.#again();
    else this.#failWith(ending);
  }

  /** etcd has refused the call: perhaps another member would not. */
  #refused(route: Route, ending: Ending): void {
    const { pool } = this.#environment;
    const refusal = refusalIn(ending.status);
    if (refusal === undefined) {
      const repeat = saysLeaderChanged(ending.status) && this.#mayRepeat(false);
      if (repeat) this.#again();
      else this.#failWith(ending);
    } else if (this.#mayRepeat(refusal.noEffect)) {
      this.#ending = ending;
      pool.accuse(route, this);
    } else {
      this.#failWith(ending);
      pool.accuse(route);
    }
  }

  /** @param noEffect whether etcd has certainly done nothing */
  #mayRepeat(noEffect: boolean): boolean {
    if (this.#call.cancelled || this.#attempts >= this.#environment.maxAttempts) return false;
    return noEffect || this.#call.method.idempotent;
  }

  #again(): void {
    this.#environment.observer.onRetried(this.#call.method);
    this.start();
  }

  #giveUpAttempt(): void {
    this.#route?.onGivenUp(this);
    this.#attempt?.cancel();
    this.#attempt = undefined;
  }

  #succeed(ending: Ending): void {
    this.#call.responseTrailers = ending.trailers;
    if (this.#reply === undefined) {
      this.#fail(new RpcError(Code.INTERNAL, 'grpc: etcd answered without a message'));
      return;
    }
    this.#call.work = undefined;
    this.#resolve(this.#reply);
  }

  #failWith(ending: Ending): void {
    this.#call.responseTrailers = ending.trailers;
    const { code, message, details } = ending.status;
    this.#fail(ending.answered ? new RpcError(code, message, details) : this.#unknownFate(ending));
  }

  #unknownFate({ status: { code, message }, unprocessed }: Ending): RpcError {
    if (this.#call.method.idempotent || unprocessed) return new RpcError(code, message);
    return new RpcError(code, `${message}; the call may or may not have taken effect`);
  }

  #fail(error: RpcError): void {
    this.#call.work = undefined;
    this.#reject(error);
  }
}

/** Listens to an attempt that only has to stay. */
const DEAF: ClientCallListener = {
  onHeaders: () => {},
  onMessage: () => {},
  onDrain: () => {},
  onEnding: () => {},
};

/** Whether an attempt ended because the connection or the stream broke. */
function isBroken({ unprocessed, status }: Ending): boolean {
  return unprocessed || status.code === Code.UNAVAILABLE;
}
