/**
 * One call of a Connect or gRPC-Web client, from the head of its request to its end. Connect tells of its
 * progress in two ways: the request gate runs when the head is known, and the context's signal is aborted when
 * the deadline passes, when the client goes, when the request cannot be read, and after every normal end too.
 */
import {
  Code as ConnectCode,
  ConnectError,
  createContextKey,
  type HandlerContext,
} from '@connectrpc/connect';
import type { Client } from '../rpc/client.ts';
import type { Call, Cancellable } from '../rpc/contract.ts';
import { type Metadata, NO_METADATA } from '../rpc/metadata.ts';
import type { Method } from '../rpc/method.ts';
import type { CallObserver } from '../rpc/observer.ts';
import { Code, DEADLINE_EXCEEDED, RpcError } from '../rpc/status.ts';
import type { LargeReply } from './connect/large-reply.ts';
import type { WebOutlet } from './outlet.ts';

/** Under which Connect's context holds the call. */
export const CALL = createContextKey<WebCall | undefined>(undefined, { description: 'the call' });

export class WebCall implements Call {
  readonly method: Method;
  readonly client: Client;
  readonly metadata: Metadata;
  deadline = Number.POSITIVE_INFINITY;
  cancelled = false;
  work: Cancellable | undefined;
  responseHeaders: Metadata = NO_METADATA;
  responseTrailers: Metadata = NO_METADATA;
  readonly outlet: WebOutlet;
  /** Why the request did not reach its service, once that is known. */
  refusal: ConnectError | undefined;
  /** The request in its protobuf form, where it was too large to be left to Connect. */
  largeRequest: Uint8Array | undefined;
  /** A reply on its way that is too large for that. */
  largeReply: LargeReply | undefined;

  readonly #observer: CallObserver;
  #held = 0;
  #closed = false;
  #phase: 'new' | 'reading' | 'running' | 'over' = 'new';
  #onCancel: (error: RpcError) => void = () => {};

  constructor(method: Method, client: Client, metadata: Metadata, outlet: WebOutlet, observer: CallObserver) {
    this.method = method;
    this.client = client;
    this.metadata = metadata;
    this.outlet = outlet;
    this.#observer = observer;
  }

  /**
   * The head of the request is known; its message is read next.
   * @throws ConnectError when the call is refused, which Connect then answers
   */
  begin(context: HandlerContext): void {
    if (this.refusal) throw this.refusal;
    const timeout = context.timeoutMs();
    if (timeout !== undefined) this.deadline = performance.now() + timeout;
    this.#phase = 'reading';
    this.#observer.started(this);
    const { signal } = context;
    if (signal.aborted) this.#aborted(signal.reason);
    else signal.addEventListener('abort', () => this.#aborted(signal.reason), { once: true });
    if (this.refusal) throw this.refusal;
  }

  /**
   * The request was read and goes to its service. `onCancel` is told when nobody waits for the answer any more.
   * @throws ConnectError when that was so before
   */
  run(onCancel: (error: RpcError) => void): void {
    // Connect's timer may come a millisecond late, and until then work would be done that nobody waits for.
    if (performance.now() >= this.deadline) this.#aborted(deadlineExceeded());
    if (this.refusal) throw this.refusal;
    this.#phase = 'running';
    this.#onCancel = onCancel;
    this.#observer.received(this);
  }

  /** One message of the answer is on its way. */
  sent(): void {
    this.#observer.sent(this);
  }

  /** So many bytes of a reply wait for the client, who has that much less room for others until the {@link close}. */
  hold(bytes: number): void {
    if (this.#closed) return;
    this.#held += bytes;
    this.outlet.hold(bytes);
  }

  /** The client has the reply, or is gone. */
  close(): void {
    this.#closed = true;
    this.outlet.release(this.#held);
  }

  /** The service is done with the call. */
  finish(code: number): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.work = undefined;
    this.#observer.handled(this, code);
  }

  /** The status for a reply that is no message of this type: etcd's fault. */
  malformedReply(typeName: string): RpcError {
    this.#observer.malformedReply(this);
    return new RpcError(Code.INTERNAL, `etcd-connect-proxy: etcd's reply is no ${typeName}`);
  }

  /** The status for whatever a service threw. The program's own faults are reported, their text is kept back. */
  fail(thrown: unknown): RpcError {
    // What is thrown after the client has gone, Connect throws to stop a stream that nobody reads.
    if (!(thrown instanceof RpcError) && !this.cancelled) this.#observer.fault(thrown, this);
    const error = RpcError.from(thrown);
    this.finish(error.code);
    return error;
  }

  #aborted(reason: unknown): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'reading') {
      this.refusal = refusalFor(reason);
      this.finish(this.refusal.code);
      return;
    }
    this.cancelled = true;
    const { work } = this;
    this.work = undefined;
    const error = isDeadline(reason) ? RpcError.deadlineExceeded() : RpcError.cancelled();
    // Before the work: abandoned work ends as cancelled, and the first end is the one that the client sees.
    this.#onCancel(error);
    work?.cancel();
    this.finish(error.code);
  }
}

/** The call that a context belongs to. */
export function callOf(context: HandlerContext): WebCall {
  const call = context.values.get(CALL);
  if (call === undefined) throw new Error('a context without its call');
  return call;
}

function deadlineExceeded(): ConnectError {
  return new ConnectError(DEADLINE_EXCEEDED, ConnectCode.DeadlineExceeded);
}

function isDeadline(reason: unknown): boolean {
  return reason instanceof ConnectError && reason.code === ConnectCode.DeadlineExceeded;
}

/** What Connect calls an internal error while it reads a request is the client's mistake. */
function refusalFor(reason: unknown): ConnectError {
  if (isDeadline(reason)) return deadlineExceeded();
  const error = ConnectError.from(reason, ConnectCode.InvalidArgument);
  const code = error.code === ConnectCode.Internal ? ConnectCode.InvalidArgument : error.code;
  return new ConnectError(error.rawMessage.toWellFormed(), code, error.metadata);
}
