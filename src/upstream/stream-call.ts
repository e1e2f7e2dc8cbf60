/**
 * A streaming call to etcd. Until etcd has answered anything, the messages sent so far are kept, so that a stream
 * that broke before it did anything can be opened again elsewhere without the client noticing.
 */
import { ClientCall, type Ending } from '../grpc/client-call.ts';
import type { Call, ClientStream, ClientStreamListener } from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';
import type { Route, Waiter } from './pool.ts';
import { requestBlock } from './request-block.ts';
import type { CallEnvironment } from './unary-call.ts';

/** Bytes of messages kept for a second try, and accepted before there is a connection. */
const KEEP_BYTES = 65_536;

export class StreamUpstreamCall implements ClientStream, Waiter {
  readonly deadline: number;
  readonly long = true;
  readonly #environment: CallEnvironment;
  readonly #call: Call;
  readonly #listener: ClientStreamListener;
  #stream: ClientCall | undefined;
  #attempts = 0;
  /** What was sent so far; `undefined` when etcd has answered or it grew too large: no second try then. */
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #halfClosed = false;
  #paused = false;
  #over = false;
  #blocked = false;

  constructor(environment: CallEnvironment, call: Call, listener: ClientStreamListener) {
    this.deadline = call.deadline;
    this.#environment = environment;
    this.#call = call;
    this.#listener = listener;
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
    this.#stream = stream;
    if (this.#paused) stream.pause();
    let room = true;
    for (const message of this.#kept ?? []) room = stream.send(message, false);
    if (this.#halfClosed) stream.halfClose();
    if (this.#blocked && room) {
      this.#blocked = false;
      this.#listener.onDrain();
    }
  }

  onUnavailable(cause: string): void {
    const status = new RpcError(Code.UNAVAILABLE, `no connection to etcd: ${cause}`);
    queueMicrotask(() => this.#end(status, NO_METADATA));
  }

  send(message: Uint8Array): boolean {
    if (this.#over) return true;
    this.#keep(message);
    if (this.#stream) return this.#stream.send(message, false);
    this.#blocked = this.#kept === undefined || this.#keptBytes > KEEP_BYTES;
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
    this.#stream?.cancel();
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
    this.#kept = undefined;
    this.#listener.onMessage(message);
  }

  onDrain(): void {
    this.#blocked = false;
    this.#listener.onDrain();
  }

  onEnding(ending: Ending): void {
    this.#stream = undefined;
    if (this.#mayRetry(ending)) {
      this.#environment.observer.retried(this.#call.method);
      this.#start();
    } else this.#end(ending.status, ending.trailers);
  }

  #start(): void {
    const route = this.#environment.pool.route(this);
    if (route === undefined) this.#environment.pool.wait(this);
    else this.onRoute(route);
  }

  /** Remembers a message while a second try is possible; before there is a connection this is also the queue. */
  #keep(message: Uint8Array): void {
    if (this.#kept === undefined) return;
    this.#kept.push(message);
    this.#keptBytes += message.length;
    if (this.#stream && this.#keptBytes > KEEP_BYTES) this.#kept = undefined;
  }

  #mayRetry(ending: Ending): boolean {
    if (ending.answered || this.#over || this.#kept === undefined) return false;
    if (this.#attempts >= this.#environment.maxAttempts) return false;
    return ending.unprocessed || (this.#call.method.idempotent && ending.status.code === Code.UNAVAILABLE);
  }

  #end(status: Status, trailers: Metadata): void {
    if (this.#over) return;
    this.#over = true;
    this.#listener.onEnd(status, trailers);
  }
}
