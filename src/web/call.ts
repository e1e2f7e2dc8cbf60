/**
 * One call of the web door, from the head of its request to its end, whatever protocol it came in.
 *
 * What a protocol does with it: it makes one when it has matched a request to a method, and calls {@link WebCall.begin}
 * before it reads the body. If the body cannot be read, it says so with {@link WebCall.refuse} and answers with the refusal.
 * A unary call is answered by {@link WebCall.ask}, a stream by a `WebStream`; both give encoded replies or throw `RpcError`,
 * and whatever is thrown on the way goes through {@link WebCall.fail}, which makes the status for the client of it.
 * Beside that it tells of a deadline that has passed ({@link WebCall.expire}) and of a client that goes
 * ({@link WebCall.abandon}), at any time and as often as it likes, and {@link WebCall.close}s the call when the response is closed.
 */
import type { Client } from '../rpc/client.ts';
import type { Call, Cancellable, Services } from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import type { CallObserver } from '../rpc/observer.ts';
import { Code, RpcError } from '../rpc/status.ts';
import type { WebOutlet } from './outlet.ts';
import type { Sender } from './sender.ts';

const ignore = (): void => {};

/** A call of the web door. */
export class WebCall implements Call {
  readonly method: Method;
  readonly client: Client;
  readonly authority: string;
  readonly metadata: Metadata;
  deadline = Number.POSITIVE_INFINITY;
  cancelled = false;
  /** Its service was asked. */
  asked = false;
  work: Cancellable | undefined;
  responseHeaders: Metadata = NO_METADATA;
  responseTrailers: Metadata = NO_METADATA;
  readonly outlet: WebOutlet;
  /** Why the request did not reach its service, once that is known. */
  refusal: RpcError | undefined;
  /** Called when that is known: whoever reads the request need not wait for more of it. */
  onRefused: () => void = ignore;

  readonly #observer: CallObserver;
  #held = 0;
  #closed = false;
  #phase: 'new' | 'reading' | 'running' | 'over' = 'new';
  #onCancel: (error: RpcError) => void = ignore;

  constructor(
    method: Method,
    { client, authority, outlet }: Sender,
    metadata: Metadata,
    observer: CallObserver,
  ) {
    this.method = method;
    this.client = client;
    this.authority = authority;
    this.metadata = metadata;
    this.outlet = outlet;
    this.#observer = observer;
  }

  /** The head of the request is known; its message is read next. `timeout` is in milliseconds, if the client has one. */
  begin(timeout: number | undefined): void {
    if (timeout !== undefined) this.deadline = performance.now() + timeout;
    this.#phase = 'reading';
    this.#observer.onStarted(this);
  }

  /** Whether the message of the request is being read. */
  get reading(): boolean {
    return this.#phase === 'reading';
  }

  /** The request cannot be read. Nothing once its service has it. */
  refuse(error: RpcError): void {
    if (!this.reading) return;
    this.refusal = error;
    this.finish(error.code);
    this.onRefused();
  }

  /** The deadline has passed. */
  expire(): void {
    this.#end(RpcError.deadlineExceeded());
  }

  /** The client waits no longer. */
  abandon(): void {
    // As of every call that was answered.
    if (this.#phase === 'over') return;
    this.#end(RpcError.cancelled());
  }

  /**
   * The request was read and goes to its service. `onCancel` is told when nobody waits for the answer any more.
   * @throws RpcError when that was so before
   */
  run(onCancel: (error: RpcError) => void): void {
    // A timer may come a millisecond late, and until then work would be done that nobody waits for.
    if (performance.now() >= this.deadline) this.expire();
    if (this.refusal) throw this.refusal;
    this.asked = true;
    this.#phase = 'running';
    this.#onCancel = onCancel;
    this.#observer.onReceived(this);
  }

  /**
   * Runs a unary call: the reply of its service, as long as somebody waits for it.
   * @param request makes the encoded request, once it is known that somebody does
   * @throws RpcError (rejects)
   */
  async ask(services: Services, request: () => Uint8Array): Promise<Uint8Array> {
    let onCancel: (error: RpcError) => void = ignore;
    this.run((error) => onCancel(error));
    const handler = services.unary(this.method.path);
    if (!handler) throw new RpcError(Code.UNIMPLEMENTED, `unknown method ${this.method.name}`);
    const answer = handler(request(), this);
    if (answer instanceof Uint8Array) return answer;
    // No promise without a reader: what is at hand is converted while the client may go, which is nobody's fault.
    return await new Promise((resolve, reject) => {
      onCancel = reject;
      answer.then(resolve, reject);
    });
  }

  /** One message of the answer is on its way. */
  onSent(): void {
    this.#observer.onSent(this);
  }

  /** So many bytes of a reply wait for the client, who has that much less room for others until the {@link close}. */
  hold(bytes: number): void {
    if (this.#closed) return;
    this.#held += bytes;
    this.outlet.hold(bytes);
  }

  /** The client has the reply, or is gone. Nothing when that was so before. */
  close(): void {
    this.#closed = true;
    const held = this.#held;
    this.#held = 0;
    this.outlet.release(held);
  }

  /** The service is done with the call. */
  finish(code: number): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.work = undefined;
    // It may hold the answer, and the call is there for as long as its client reads.
    this.#onCancel = ignore;
    this.#observer.onHandled(this, code);
  }

  /** The status for a reply that is no message of this type: etcd's fault. */
  malformedReply(typeName: string): RpcError {
    this.#observer.onMalformedReply(this);
    return new RpcError(Code.INTERNAL, `etcd-connect-proxy: etcd's reply is no ${typeName}`);
  }

  /** The status for whatever was thrown. The program's own faults are reported, their text is kept back. */
  fail(thrown: unknown): RpcError {
    // What is thrown after the client has gone is thrown to stop a stream that nobody reads.
    if (!(thrown instanceof RpcError) && !this.cancelled) this.#observer.onFault(thrown, this);
    const error = RpcError.from(thrown);
    this.finish(error.code);
    return error;
  }

  #end(error: RpcError): void {
    if (this.#phase !== 'running') {
      this.refuse(error);
      return;
    }
    this.cancelled = true;
    const { work } = this;
    this.work = undefined;
    // Before the work: abandoned work ends as cancelled, and the first end is the one that the client sees.
    this.#onCancel(error);
    work?.cancel();
    this.finish(error.code);
  }
}
