/** Calls of etcd's gateway: messages of the client to the services, and what they answer. */
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, RpcError } from '../../rpc/status.ts';
import type { WebCall } from '../call.ts';
import type { WebServerOptions } from '../options.ts';
import { WebStream } from '../stream.ts';
import { streamError } from './error.ts';
import { lineOf } from './response.ts';
import { told } from './told-revision.ts';

/** A call on its way. */
export interface GatewayCall {
  readonly method: DescMethod;
  readonly call: WebCall;
  /** The only message of its client, where there is one. @throws RpcError (rejects) */
  readonly first: () => Promise<Uint8Array>;
  /** All messages of the client. @throws RpcError (rejects) */
  readonly all: () => AsyncGenerator<Uint8Array>;
  /** The rest of what the client sends is not wanted. */
  readonly drop: () => void;
}

/** What the services are, and their bounds. */
export interface GatewayServing {
  readonly options: WebServerOptions;
  readonly maxUnreadBytes: number;
}

/** Serves a unary call. @throws RpcError (rejects), or whatever else went wrong */
export async function serveUnary(
  { call, first }: GatewayCall,
  { options }: GatewayServing,
): Promise<Uint8Array> {
  const request = await first();
  const reply = await call.ask(options.services, () => request);
  call.hold(reply.length);
  return reply;
}

/**
 * Serves a stream: its lines, the last of which is an error where it ended with one. The first line is there when this
 * settles. @throws RpcError (rejects), or whatever else went wrong, when nothing comes before it
 */
export async function serveStream(
  gatewayCall: GatewayCall,
  serving: GatewayServing,
): Promise<AsyncGenerator<Uint8Array>> {
  const { method, call } = gatewayCall;
  const stream = new WebStream(call, serving.maxUnreadBytes);
  try {
    if (method.methodKind === 'server_streaming') await askOnce(stream, gatewayCall, serving);
    else await askOften(stream, gatewayCall, serving);
    return linesOf(stream, gatewayCall, await stream.next());
  } catch (thrown) {
    const error = call.fail(thrown);
    stream.cancel(error);
    throw error;
  }
}

async function askOnce(
  stream: WebStream,
  { first }: GatewayCall,
  { options }: GatewayServing,
): Promise<void> {
  const request = await first();
  stream.ask(options.services, () => request);
}

/** Opens the stream when the first message of the client was read; a wrong one is an error of the whole call. */
async function askOften(
  stream: WebStream,
  { call, all, drop }: GatewayCall,
  { options }: GatewayServing,
): Promise<void> {
  const messages = all();
  const first = await messages.next();
  stream.open(options.services);
  passOn(first, messages, stream)
    .catch((error: unknown) => stream.cancel(call.fail(error)))
    .finally(drop);
}

/** As in etcd, a later message that cannot be read ends what the client sends, and not the stream. */
async function passOn(
  first: IteratorResult<Uint8Array>,
  messages: AsyncGenerator<Uint8Array>,
  stream: WebStream,
): Promise<void> {
  try {
    for (let next = first; next.done !== true; next = await messages.next()) await stream.receive(next.value);
  } catch (error) {
    if (!(error instanceof RpcError) || error.code !== Code.INVALID_ARGUMENT) throw error;
  }
  stream.halfClose();
}

async function* linesOf(
  stream: WebStream,
  { method, call }: GatewayCall,
  first: Uint8Array | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for (let message = first; message; message = await stream.next())
      yield await lineOf(call, method.output, told(method.output, message));
  } catch (thrown) {
    const error = call.fail(thrown);
    stream.cancel(error);
    yield Buffer.from(streamError(error));
  }
}
