/**
 * START HERE. etcd's own JSON: the paths of its gateway, `/v3/kv/range` and so on, as its clients know them.
 *
 *   paths.ts     which method is behind which path
 *   request.ts   deadline, and messages from JSON                     ../json-message.ts, ../prefixed-metadata.ts
 *   serve.ts     messages to the services, and what they answer       told-revision.ts
 *   response.ts  replies as JSON                                      ../json-text.ts
 *   version.ts   `GET /version`
 *   websocket.ts the same over WebSocket                              frames.ts
 *   error.ts     the end of a stream that failed                      ../http-error.ts
 */
import type { DescMethod } from '@bufbuild/protobuf';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify';
import { clientOf } from '../../rpc/client.ts';
import { Code, RpcError } from '../../rpc/status.ts';
import { bodyOf, clientGone } from '../body.ts';
import { WebCall } from '../call.ts';
import type { WebLimits, WebServerOptions } from '../options.ts';
import { outletOf } from '../outlet.ts';
import { prefixedMetadata } from '../prefixed-metadata.ts';
import type { RequestMemory } from '../request-memory.ts';
import { pathOf } from '../schemas.ts';
import { mayGoOn } from '../slow-bodies.ts';
import { methodAt } from './paths.ts';
import { GatewayReader, timeoutOf } from './request.ts';
import { sendError, sendLines, sendReply } from './response.ts';
import { type GatewayCall, type Serving, serveStream, serveUnary } from './serve.ts';
import { addVersion } from './version.ts';

const NOT_FOUND = new RpcError(Code.NOT_FOUND, 'Not Found');
const NOT_ALLOWED = new RpcError(Code.UNIMPLEMENTED, 'Method Not Allowed');

/** Adds them, as one route and a table behind it. */
export function addGatewayRoutes(
  app: FastifyInstance,
  options: WebServerOptions,
  { maxUnreadBytes }: WebLimits,
  memory: RequestMemory,
): void {
  const serving = { options, maxUnreadBytes };
  app.addHook('onRequest', (request, _reply, done) => {
    // The gateway looks at no type of content, and Fastify would.
    if (methodAt(request.raw.url ?? '') !== undefined) delete request.raw.headers['content-type'];
    done();
  });
  addVersion(app, options);
  const handler: RouteHandlerMethod = (request, reply) => {
    const method = methodAt(request.raw.url ?? '');
    if (method === undefined) return sendError(reply, NOT_FOUND, false);
    if (request.method !== 'POST') return sendError(reply.header('allow', 'POST'), NOT_ALLOWED, false);
    return serve(method, serving, memory, request, reply);
  };
  // Services have names such as `v3lockpb.Lock`, which are not below these.
  for (const path of ['/v3', '/v3beta', '/v3alpha']) app.all(path, handler).all(`${path}/*`, handler);
}

async function serve(
  method: DescMethod,
  serving: Serving,
  memory: RequestMemory,
  { raw }: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { options } = serving;
  const streams = method.methodKind !== 'unary';
  const timeout = timeoutOf(raw);
  if (timeout instanceof RpcError) return sendError(reply, timeout, streams);
  const metadata = prefixedMetadata(raw.rawHeaders);
  const called = options.services.method(pathOf(method));
  const call = new WebCall(called, clientOf(raw.socket), metadata, outletOf(raw.socket), options.observer);
  let gone: AbortSignal | undefined;
  const reader = new GatewayReader(method, options.maxRequestBytes, () => {
    gone ??= goneSignal(reply);
    return gone;
  });
  if (method.methodKind === 'bidi_streaming') mayGoOn(raw);
  const held = memory.of(raw);
  const body = bodyOf(raw, held, call);
  // What is left of a request is read, or its client waits for ever to send it.
  const drop = (): void => void (raw.complete || raw.resume());
  const gatewayCall = {
    method,
    call,
    first: () => reader.first(body),
    all: () => reader.all(body, held),
    drop,
  };
  let timer: NodeJS.Timeout | undefined;
  reply.raw.once('close', () => {
    clearTimeout(timer);
    call.abandon();
    call.close();
  });
  try {
    call.begin(timeout);
    if (timeout !== undefined) timer = setTimeout(() => call.expire(), timeout);
    if (streams) return sendLines(reply, call, await serveStream(gatewayCall, serving));
    return await answer(reply, gatewayCall, serving);
  } catch (thrown) {
    drop();
    return sendError(reply, call.fail(thrown), streams);
  }
}

async function answer(
  reply: FastifyReply,
  gatewayCall: GatewayCall,
  serving: Serving,
): Promise<FastifyReply> {
  const { method, call } = gatewayCall;
  const sent = sendReply(reply, call, method.output, await serveUnary(gatewayCall, serving));
  call.onSent();
  call.finish(Code.OK);
  return sent;
}

/** Is aborted when the client goes before it has the whole answer. */
function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (raw.destroyed) gone.abort(clientGone());
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(clientGone());
  });
  return gone.signal;
}
