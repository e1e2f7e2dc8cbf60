/**
 * START HERE. Serves every RPC that Connect and gRPC-Web can carry: Connect reads the protocols, the services answer.
 *
 *   request.ts       what Fastify read, as Connect reads it           large-request.ts   past Connect, on another thread
 *   request-gate.ts  what Connect tells of a call, and a refused one
 *   serve.ts         what Connect calls: bytes to the services        error.ts           a status in Connect's words
 *   response.ts      what Connect made, as Fastify sends it           large-reply.ts     past Connect, in pieces
 */
import type { DescMethod, DescMethodServerStreaming, DescMethodUnary } from '@bufbuild/protobuf';
import { type ConnectRouter, createConnectRouter } from '@connectrpc/connect';
import { compressionGzip } from '@connectrpc/connect-node';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { BrowserGuard } from '../browser-guard.ts';
import { WebCall } from '../call.ts';
import { clientMetadata } from '../client-headers.ts';
import { JSON_EXPANSION, type WebLimits, type WebServerOptions } from '../options.ts';
import { refuseBidi, refuseBrowser, refuseUnknown } from '../refusals.ts';
import type { RequestMemory } from '../request-memory.ts';
import { METHOD_SCHEMAS, pathOf } from '../schemas.ts';
import { senderOf } from '../sender.ts';
import { LARGE_REQUEST_BYTES } from './large-request.ts';
import { universalRequest } from './request.ts';
import { answer, ConnectCall, callOf, type UniversalHandler } from './request-gate.ts';
import { sendResponse } from './response.ts';
import { serveStream, serveUnary } from './serve.ts';

/** What answers the requests for one path. */
type Answer = (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>;

/** The path of an RPC. */
interface RpcPath {
  readonly service: string;
  readonly method: string;
}

/**
 * Adds them, as one route and a table behind it: with a route for each, Fastify makes 500 of them, one for each method
 * of HTTP, which takes 80 ms and 4 MiB.
 */
export function addConnectRoutes(
  app: FastifyInstance,
  options: WebServerOptions,
  limits: WebLimits,
  memory: RequestMemory,
  guard: BrowserGuard,
): void {
  const router = createConnectRouter({
    grpc: false,
    // Whatever a request says of itself, the main thread reads no more of it.
    readMaxBytes: Math.min(LARGE_REQUEST_BYTES, mostUnpacked(options)),
    acceptCompression: [compressionGzip],
    compressMinBytes: limits.compressMinBytes,
    requestGate: (context) => callOf(context).begin(context),
  });
  const answers = new Map<string, Answer>();
  for (const method of METHOD_SCHEMAS) {
    if (!addMethod(router, method, options, limits)) answers.set(pathOf(method), refuseBidi);
  }
  for (const handler of router.handlers) {
    answers.set(handler.requestPath, (request, reply) => serve(handler, options, memory, request, reply));
  }
  app.all('/:service/:method', (request, reply) => {
    // A page gets this without an `Origin`.
    const refusal = request.method === 'GET' ? guard.foreignHost(request.raw) : undefined;
    if (refusal !== undefined) return refuseBrowser(reply, refusal);
    const { service, method } = request.params as RpcPath;
    return (answers.get(`/${service}/${method}`) ?? refuseUnknown)(request, reply);
  });
}

/** The most that a body may be once it is unpacked. */
function mostUnpacked({ maxRequestBytes }: WebServerOptions): number {
  return maxRequestBytes * JSON_EXPANSION;
}

/** False when the protocols cannot carry the method. */
function addMethod(
  router: ConnectRouter,
  method: DescMethod,
  options: WebServerOptions,
  { maxUnreadBytes }: WebLimits,
): boolean {
  const { services, maxRequestBytes } = options;
  if (isUnary(method)) {
    router.rpc(method, (request, context) => serveUnary(method, services, request, context, maxRequestBytes));
  } else if (isServerStream(method)) {
    router.rpc(method, (request, context) => serveStream(method, options, maxUnreadBytes, request, context));
  } else return false;
  return true;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary';
}

function isServerStream(method: DescMethod): method is DescMethodServerStreaming {
  return method.methodKind === 'server_streaming';
}

async function serve(
  handler: UniversalHandler,
  options: WebServerOptions,
  memory: RequestMemory,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { raw } = request;
  const method = options.services.method(handler.requestPath);
  const metadata = clientMetadata(raw.rawHeaders);
  const call = new WebCall(method, senderOf(raw), metadata, options.observer);
  reply.raw.once('close', () => call.close());
  const connectCall = new ConnectCall(call);
  const reading = { maxBytes: mostUnpacked(options), held: memory.of(raw) };
  const asked = universalRequest(handler, request, reply, connectCall, reading);
  const response = await answer(handler, asked, connectCall);
  // What is left of a request that was answered early: read, or its client waits for ever to send it.
  if (!raw.complete) raw.resume();
  return sendResponse(handler, request, reply, response, connectCall, options.observer);
}
