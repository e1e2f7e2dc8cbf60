/**
 * A streaming call to etcd. As long as the messages without an answer are kept, a stream that broke, or whose endpoint
 * does not serve, is opened again elsewhere without the client noticing.
 */
import { refusalIn } from '../etcd/words.ts';
import { ClientCall, type Ending } from '../grpc/client-call.ts';
import type { Call, ClientStream, ClientStreamListener, PartSink } from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Pace } from '../rpc/method.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import type { Accuser } from './accusers.ts';
import type { CallEnvironment } from './call-environment.ts';
import { type Kept, KeptMessages, OwnersMessages } from './kept-messages.ts';
import { requestBlock } from './request-block.ts';
import type { Route } from './route.ts';
import { type Traffic, trafficOf } from './traffic.ts';
import type { Asked } from './unanswered.ts';
import type { Waiter } from './waiting-calls.ts';

export class StreamUpstreamCall implements ClientStream, Waiter, Asked, Accuser, PartSink {
  readonly deadline: number;
  readonly traffic: Traffic;
  askedAt = 0;
  before: Asked | undefined = undefined;
  after: Asked | undefined = undefined;
  listed = false;
  readonly #environment: CallEnvironment;
  readonly #call: Call;
  readonly #listener: ClientStreamListener;
  readonly #pace: Pace;
  readonly #kept: Kept;
  #route: Route | undefined;
  #stream: ClientCall | undefined;
  #attempts = 0;
  #halfClosed = false;
  #paused = false;
  #over = false;
  /** The client was told to wait, and not yet that there is room: on whichever connection that will be. */
  #blocked = false;
  /** How the latest attempt ended. Set while a survey decides whether the call is sent again. */
  #ending: Ending | undefined;

  constructor(environment: CallEnvironment, call: Call, listener: ClientStreamListener) {
    this.deadline = call.deadline;
    this.#environment = environment;
    this.#call = call;
    this.#listener = listener;
    this.#pace = call.method.pace;
    this.traffic = trafficOf(call.method);
    const { keeper } = listener;
    this.#kept =
      keeper === undefined ? new KeptMessages(this.#pace === 'heartbeats') : new OwnersMessages(keeper);
    this.#start();
  }

  onRoute(route: Route): void {
    const { endpoint, connection } = route;
    this.#attempts++;
    const stream = new ClientCall(
      connection,
      requestBlock(endpoint, this.#call),
      this,
      this.#environment.receive,
      this.deadline,
      endpoint.name,
    );
    this.#route = route;
    this.#stream = stream;
    if (this.#pace !== 'slow') route.lasting.add(this);
    if (this.#paused) stream.pause();
    let room = true;
    for (const message of this.#kept.take()) room = stream.send(message, false);
    this.#due();
    this.#kept.onSent();
    if (this.#halfClosed) stream.halfClose();
    if (this.#blocked && room) {
      this.#blocked = false;
      this.#listener.onDrain();
    }
  }

  onUnavailable(error: RpcError): void {
    queueMicrotask(() => this.#end(error, NO_METADATA));
  }

  send(message: Uint8Array): boolean {
    if (this.#over) return true;
    this.#kept.add(message);
    if (this.#stream === undefined) this.#blocked ||= this.#kept.full;
    else {
      this.#kept.onSent();
      this.#due();
      this.#blocked = !this.#stream.send(message, false);
    }
    return !this.#blocked;
  }

  halfClose(): void {
    if (this.#halfClosed) return;
    this.#halfClosed = true;
    this.#stream?.halfClose();
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#environment.pool.withdraw(this);
    this.#giveUpAttempt();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  onHeaders(metadata: Metadata): void {
    this.#listener.onHeaders(metadata);
  }

  onMessage(message: Uint8Array): void {
    this.#onAnswer();
    this.#listener.onMessage(message);
  }

  get parts(): PartSink | undefined {
    return this.#listener.parts && this;
  }

  onPart(part: Buffer, left: number): void {
    this.#onAnswer();
    this.#listener.parts?.onPart(part, left);
  }

  onDrain(): void {
    this.#blocked = false;
    this.#listener.onDrain();
  }

  /**
   * The stream would get nothing more on the connection that is left. It is opened again elsewhere, or ended so that
   * its client can open it again.
   */
  onLeft(route: object): void {
    if (this.#route !== route || this.#stream === undefined || this.#pace === 'slow') return;
    this.#giveUpAttempt();
    if (this.#kept.complete) this.#again();
    else this.#end(leftStatus(this.#route.endpoint.name), NO_METADATA);
  }

  onEnding(ending: Ending): void {
    const route = this.#route as Route;
    this.#stream = undefined;
    route.lasting.delete(this);
    route.unanswered.onAnswered(this);
    if (this.#mayRetry(ending)) this.#again();
    else if (ending.answered && refusalIn(ending.status) !== undefined) {
      this.#ending = ending;
      this.#environment.pool.accuse(route, this);
    } else this.#end(ending.status, ending.trailers);
  }

  onJudged(again: boolean): void {
    const ending = this.#ending;
    this.#ending = undefined;
    if (ending === undefined || this.#over) return;
    const { idempotent } = this.#call.method;
    const room = this.#attempts < this.#environment.maxAttempts;
    if (again && room && this.#kept.complete && (idempotent || refusalIn(ending.status)?.noEffect))
      this.#again();
    else if (again && this.#pace === 'following')
      this.#end(leftStatus(this.#route?.endpoint.name ?? ''), NO_METADATA);
    else this.#end(ending.status, ending.trailers);
  }

  #start(): void {
    const route = this.#environment.pool.route(this);
    if (route === undefined) this.#environment.pool.wait(this);
    else this.onRoute(route);
  }

  #again(): void {
    this.#environment.observer.onRetried(this.#call.method);
    this.#start();
  }

  /** etcd has answered something. */
  #onAnswer(): void {
    this.#attempts = 0;
    this.#kept.onAnswered();
    if (!this.listed) return;
    this.#route?.unanswered.onAnswered(this);
    this.#due();
  }

  /** Heartbeats: an answer is due as long as any message has none. */
  #due(): void {
    if (this.#pace === 'heartbeats' && !this.listed && this.#kept.unanswered > 0) this.#route?.asks(this);
  }

  #giveUpAttempt(): void {
    this.#route?.onGivenUp(this);
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  #mayRetry(ending: Ending): boolean {
    if (ending.answered || this.#over || !this.#kept.complete) return false;
    if (this.#attempts >= this.#environment.maxAttempts) return false;
    return ending.unprocessed || (this.#call.method.idempotent && ending.status.code === Code.UNAVAILABLE);
  }

  #end(status: Status, trailers: Metadata): void {
    if (this.#over) return;
    this.#over = true;
    this.#listener.onEnd(status, trailers);
  }
}

function leftStatus(endpoint: string): RpcError {
  return new RpcError(Code.UNAVAILABLE, `the connection to etcd (${endpoint}) was left for one that serves`);
}
