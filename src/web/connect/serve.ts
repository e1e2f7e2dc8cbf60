/**
 * The implementations that Connect calls: they hand the encoded request to the service of the method, the same
 * that serves gRPC, and give Connect the decoded answer. Fields that the descriptors do not know survive in
 * protobuf formats; JSON has no place for them.
 */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type Message,
  toBinary,
} from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import type { Services } from '../../rpc/contract.ts';
import { Code, RpcError, tooLargeForEtcd } from '../../rpc/status.ts';
import type { WebCall } from '../call.ts';
import type { WebServerOptions } from '../options.ts';
import { WebStream } from '../stream.ts';
import { connectError } from './error.ts';
import { LARGE_WEB_REPLY_BYTES } from './large-reply.ts';
import { type ConnectCall, callOf } from './request-gate.ts';

/** Serves one unary call. */
export async function serveUnary(
  method: DescMethodUnary,
  services: Services,
  request: Message,
  context: HandlerContext,
  maxBytes: number,
): Promise<Message> {
  const connectCall = callOf(context);
  const { call } = connectCall;
  try {
    const reply = await call.ask(services, () => encode(method.input, request, connectCall, maxBytes));
    const message = decode(method.output, reply, connectCall);
    call.hold(reply.length);
    call.onSent();
    call.finish(Code.OK);
    return message;
  } catch (thrown) {
    throw connectError(call.fail(thrown), context);
  } finally {
    relayHeaders(call, context);
    relayTrailers(call, context);
  }
}

/** Serves one server stream. */
export async function* serveStream(
  method: DescMethodServerStreaming,
  { services, maxRequestBytes }: WebServerOptions,
  maxUnreadBytes: number,
  request: Message,
  context: HandlerContext,
): AsyncGenerator<Message> {
  const connectCall = callOf(context);
  const { call } = connectCall;
  const stream = new WebStream(call, maxUnreadBytes);
  let begun = false;
  try {
    stream.ask(services, () => encode(method.input, request, connectCall, maxRequestBytes));
    for (let reply = await stream.next(); reply; reply = await stream.next()) {
      if (!begun) relayHeaders(call, context);
      begun = true;
      yield decode(method.output, reply, connectCall);
    }
  } catch (thrown) {
    const error = call.fail(thrown);
    stream.cancel(error);
    throw connectError(error, context);
  } finally {
    if (!begun) relayHeaders(call, context);
    relayTrailers(call, context);
  }
}

/** The protobuf form of a request, which is what the limit on messages is for, whatever form it came in. */
function encode(
  schema: DescMessage,
  request: Message,
  { largeRequest }: ConnectCall,
  maxBytes: number,
): Uint8Array {
  const bytes = largeRequest ?? toBinary(schema, request);
  if (bytes.length <= maxBytes) return bytes;
  throw new RpcError(Code.RESOURCE_EXHAUSTED, tooLargeForEtcd(bytes.length, maxBytes));
}

/** A reply of etcd as Connect takes it; see `LargeReply`. */
function decode(schema: DescMessage, reply: Uint8Array, connectCall: ConnectCall): Message {
  if (reply.length >= LARGE_WEB_REPLY_BYTES) {
    connectCall.largeReply = { schema, message: reply };
    return create(schema);
  }
  try {
    return fromBinary(schema, reply);
  } catch (error) {
    if (error instanceof Error) throw connectCall.call.malformedReply(schema.typeName);
    throw error;
  }
}

function relayHeaders(call: WebCall, context: HandlerContext): void {
  const { fields } = call.responseHeaders;
  for (let i = 0; i < fields.length; i += 2) {
    context.responseHeader.append(fields[i] as string, fields[i + 1] as string);
  }
}

function relayTrailers(call: WebCall, context: HandlerContext): void {
  const { fields } = call.responseTrailers;
  for (let i = 0; i < fields.length; i += 2) {
    context.responseTrailer.append(fields[i] as string, fields[i + 1] as string);
  }
}
