/**
 * Where Connect and a call meet. Connect tells of a call's progress in two ways: the request gate runs when the head is
 * known, and the context's signal is aborted when the deadline passes, when the client goes, when the request cannot be
 * read, and after every normal end too.
 */
import {
  Code as ConnectCode,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import { Code, RpcError } from '../../rpc/status.ts';
import type { WebCall } from '../call.ts';
import { LARGE_BYTES } from '../options.ts';
import type { LargeReply } from './large-reply.ts';

/** What Connect makes of a method: a function from requests to responses. */
export type UniversalHandler = ConnectRouter['handlers'][number];
/** What it takes. */
export type UniversalRequest = Parameters<UniversalHandler>[0];
/** What it gives. */
export type UniversalResponse = Awaited<ReturnType<UniversalHandler>>;

const CALL = createContextKey<ConnectCall | undefined>(undefined, { description: 'the call' });

const LONG_QUERY = `a request in the query of an address is of ${LARGE_BYTES} characters at most`;

/** A call, and what goes past Connect on its way in and out. */
export class ConnectCall {
  readonly call: WebCall;
  /** The request in its protobuf form, where it was too large to be left to Connect. */
  largeRequest: Uint8Array | undefined;
  /** A reply on its way that is too large for that. */
  largeReply: LargeReply | undefined;
  /** Header fields that Connect sends with the refusal. */
  #fields: Headers | undefined;

  constructor(call: WebCall) {
    this.call = call;
  }

  /** By which {@link callOf} finds it. */
  get contextValues(): ContextValues {
    return createContextValues().set(CALL, this);
  }

  /**
   * The request gate.
   * @throws ConnectError when the call is refused, which Connect then answers
   */
  begin({ signal, timeoutMs, url }: HandlerContext): void {
    this.#throwRefusal();
    this.call.begin(timeoutMs());
    // The message of a read by GET is there, and Connect reads it whatever its size.
    if (url.length > LARGE_BYTES) this.call.refuse(new RpcError(Code.RESOURCE_EXHAUSTED, LONG_QUERY));
    if (signal.aborted) this.#aborted(signal.reason);
    else signal.addEventListener('abort', () => this.#aborted(signal.reason), { once: true });
    this.#throwRefusal();
  }

  #throwRefusal(): void {
    const { refusal } = this.call;
    if (refusal) throw new ConnectError(refusal.message.toWellFormed(), refusal.code, this.#fields);
  }

  #aborted(reason: unknown): void {
    const { call } = this;
    if (isDeadline(reason)) call.expire();
    else if (!call.reading) call.abandon();
    else {
      if (reason instanceof ConnectError) this.#fields = reason.metadata;
      call.refuse(reason instanceof RpcError ? reason : refusalFor(reason));
    }
  }
}

/** The call that a context belongs to. */
export function callOf(context: HandlerContext): ConnectCall {
  const call = context.values.get(CALL);
  if (call === undefined) throw new Error('a context without its call');
  return call;
}

/**
 * Lets Connect answer. A request that it could not read is answered in a second go, in which the gate throws
 * what is wrong with it: Connect itself calls bytes that are no message an internal error.
 */
export async function answer(
  handler: UniversalHandler,
  request: UniversalRequest,
  { call }: ConnectCall,
): Promise<UniversalResponse> {
  try {
    const response = await handler(request);
    if (!call.refusal) return response;
  } catch (error) {
    if (!call.refusal) throw error;
  }
  return handler(request);
}

function isDeadline(reason: unknown): boolean {
  return reason instanceof ConnectError && reason.code === ConnectCode.DeadlineExceeded;
}

/** What Connect calls an internal error while it reads a request is the client's mistake. */
function refusalFor(reason: unknown): RpcError {
  const error = ConnectError.from(reason, ConnectCode.InvalidArgument);
  const code = error.code === ConnectCode.Internal ? ConnectCode.InvalidArgument : error.code;
  return new RpcError(code, error.rawMessage);
}
