/**
 * Puts every RPC that gRPC-Web and Connect can carry on a route of Fastify: Connect reads the protocols, the
 * services answer.
 */
import { Readable } from 'node:stream';
import type { DescMethod, DescMethodServerStreaming, DescMethodUnary } from '@bufbuild/protobuf';
import { type ConnectRouter, createConnectRouter, createContextValues } from '@connectrpc/connect';
import { compressionGzip } from '@connectrpc/connect-node';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientOf } from '../../rpc/client.ts';
import { RpcError } from '../../rpc/status.ts';
import { bodyOf, clientGone } from '../body.ts';
import { CALL, callOf, WebCall } from '../call.ts';
import { clientMetadata } from '../client-headers.ts';
import { MessageDecoder } from '../decoder.ts';
import type { WebLimits, WebServerOptions } from '../options.ts';
import { outletOf } from '../outlet.ts';
import { refuseBidi } from '../refusals.ts';
import type { RequestMemory } from '../request-memory.ts';
import { METHOD_SCHEMAS, pathOf } from '../schemas.ts';
import { dropLongDeadlines } from './deadline.ts';
import { binaryForm, fromText, isTextForm, textForm, toText, wantsTextForm } from './grpc-web-text.ts';
import { bodyOf as largeBody } from './large-reply.ts';
import { smallBody } from './large-request.ts';
import { serveStream, serveUnary } from './serve.ts';

type UniversalHandler = ConnectRouter['handlers'][number];
type UniversalRequest = Parameters<UniversalHandler>[0];
type UniversalResponse = Awaited<ReturnType<UniversalHandler>>;

/**
 * How much longer than its protobuf form a message may be as JSON, where bytes are base64 and fields have names. The
 * limit on messages is for the protobuf form; this one only keeps a body from filling the memory.
 */
const JSON_EXPANSION = 3;

/** Reads large requests for all of them. */
const decoder = new MessageDecoder();
/** The most that a body may be once it is unpacked. */
function mostUnpacked({ maxRequestBytes }: WebServerOptions): number {
  return maxRequestBytes * JSON_EXPANSION;
}

/** Adds the routes. */
export function addRpcRoutes(
  app: FastifyInstance,
  options: WebServerOptions,
  limits: WebLimits,
  memory: RequestMemory,
): void {
  const { services } = options;
  const router = createConnectRouter({
    grpc: false,
    readMaxBytes: mostUnpacked(options),
    acceptCompression: [compressionGzip],
    compressMinBytes: limits.compressMinBytes,
    requestGate: (context) => callOf(context).begin(context),
  });
  for (const method of METHOD_SCHEMAS) {
    if (isUnary(method)) {
      router.rpc(method, (request, context) =>
        serveUnary(method, services, request, context, options.maxRequestBytes),
      );
    } else if (isServerStream(method)) {
      router.rpc(method, (request, context) =>
        serveStream(method, options, limits.maxUnreadBytes, request, context),
      );
    } else app.all(pathOf(method), refuseBidi);
  }
  for (const handler of router.handlers) {
    app.all(handler.requestPath, (request, reply) => serve(handler, options, memory, request, reply));
  }
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
  const { socket, rawHeaders } = request.raw;
  const method = options.services.method(handler.requestPath);
  const metadata = clientMetadata(rawHeaders);
  const call = new WebCall(method, clientOf(socket), metadata, outletOf(socket), options.observer);
  reply.raw.once('close', () => call.close());
  const asked = universalRequest(handler, options, request, reply, call, memory);
  const response = await answer(handler, asked, call);
  const body = largeBody(response, call, String(request.headers['accept-encoding'] ?? ''));
  // What is left of a request that was answered early: read, or its client waits for ever to send it.
  if (!request.raw.complete) request.raw.resume();
  reply.code(response.status);
  const { accept, 'content-type': contentType } = request.headers;
  const asText = isGrpcWeb(response) && wantsTextForm(accept, isTextForm(contentType));
  response.header?.forEach((value, name) => {
    reply.header(name, asText && name === 'content-type' ? textForm(value) : value);
  });
  // A read by GET shows the moment; no cache on the way may show it again.
  if (request.method === 'GET') reply.header('cache-control', 'no-store');
  if (response.status === 405) reply.header('allow', handler.allowedMethods.join(', '));
  if (response.status === 415) reply.type('text/plain; charset=utf-8').send(SUPPORTED_TYPES);
  else if (body) {
    const whole = reported(body, options);
    reply.send(Readable.from(asText ? toText(whole) : whole, { objectMode: false }));
  } else reply.send();
  return reply;
}

function isGrpcWeb({ header }: UniversalResponse): boolean {
  return header?.get('content-type')?.startsWith('application/grpc-web') === true;
}

const SUPPORTED_TYPES =
  'supported content types: application/json, application/proto, application/connect+json, ' +
  'application/connect+proto, application/grpc-web, application/grpc-web+proto, application/grpc-web+json, ' +
  'application/grpc-web-text, application/grpc-web-text+proto\n';

/**
 * Lets Connect answer. A request that it could not read is answered in a second go, in which the gate throws
 * what is wrong with it: Connect itself calls bytes that are no message an internal error.
 */
async function answer(
  handler: UniversalHandler,
  request: UniversalRequest,
  call: WebCall,
): Promise<UniversalResponse> {
  try {
    const response = await handler(request);
    if (!call.refusal) return response;
  } catch (error) {
    if (!call.refusal) throw error;
  }
  return handler(request);
}

function universalRequest(
  handler: UniversalHandler,
  options: WebServerOptions,
  { raw }: FastifyRequest,
  reply: FastifyReply,
  call: WebCall,
  memory: RequestMemory,
): UniversalRequest {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(clientGone());
  });
  const url = raw.url ?? '';
  const query = url.includes('?') ? url.slice(url.indexOf('?')) : '';
  const header = requestHeaders(raw.headers);
  const { 'content-type': contentType = '' } = raw.headers;
  const asText = isTextForm(contentType);
  if (asText) {
    header.set('content-type', binaryForm(contentType));
    header.delete('content-length'); // it is of the text
  }
  const { signal } = gone;
  const held = memory.of(raw);
  const large = { call, decoder, maxBytes: mostUnpacked(options), signal, held };
  const content = bodyOf(raw, held);
  return {
    httpVersion: raw.httpVersion,
    method: raw.method ?? '',
    url: `http://localhost${handler.requestPath}${query}`,
    header,
    body: smallBody(asText ? fromText(content) : content, header, large),
    signal,
    contextValues: createContextValues().set(CALL, call),
  };
}

function requestHeaders(fields: FastifyRequest['raw']['headers']): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value ?? '']) headers.append(name, one);
  }
  dropLongDeadlines(headers);
  return headers;
}

/** The body of a response; a fault within it can only break off the response, so it is reported here. */
async function* reported(
  body: AsyncIterable<Uint8Array>,
  { observer }: WebServerOptions,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    if (!(error instanceof RpcError)) observer.fault(error);
    throw error;
  }
}
