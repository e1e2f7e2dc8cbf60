/** A response of Connect's as Fastify sends it, so that its hooks see it, and a body that fails breaks it off. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CallObserver } from '../../rpc/observer.ts';
import { RpcError } from '../../rpc/status.ts';
import { isTextForm, textForm, toText, wantsTextForm } from './grpc-web-text.ts';
import { withLargeReplies as largeBody } from './large-reply.ts';
import type { ConnectCall, UniversalHandler, UniversalResponse } from './request-gate.ts';

const SUPPORTED_TYPES =
  'supported content types: application/json, application/proto, application/connect+json, ' +
  'application/connect+proto, application/grpc-web, application/grpc-web+proto, application/grpc-web+json, ' +
  'application/grpc-web-text, application/grpc-web-text+proto\n';

/** Sends the response to a call. */
export function sendResponse(
  { allowedMethods }: UniversalHandler,
  { headers, method }: FastifyRequest,
  reply: FastifyReply,
  response: UniversalResponse,
  connectCall: ConnectCall,
  observer: CallObserver,
): FastifyReply {
  const body = largeBody(response, connectCall, String(headers['accept-encoding'] ?? ''));
  const asText = isGrpcWeb(response) && wantsTextForm(headers.accept, isTextForm(headers['content-type']));
  reply.code(response.status);
  response.header?.forEach((value, name) => {
    reply.header(name, asText && name === 'content-type' ? textForm(value) : value);
  });
  // A read by GET shows the moment; no cache on the way may show it again.
  if (method === 'GET') reply.header('cache-control', 'no-store');
  if (response.status === 405) reply.header('allow', allowedMethods.join(', '));
  if (response.status === 415) return reply.type('text/plain; charset=utf-8').send(SUPPORTED_TYPES);
  if (body === undefined) return reply.send();
  const whole = reported(body, observer);
  return reply.send(Readable.from(asText ? toText(whole) : whole, { objectMode: false }));
}

function isGrpcWeb({ header }: UniversalResponse): boolean {
  return header?.get('content-type')?.startsWith('application/grpc-web') === true;
}

/** The body of a response; a fault within it can only break off the response, so it is reported here. */
async function* reported(
  body: AsyncIterable<Uint8Array>,
  observer: CallObserver,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    if (!(error instanceof RpcError)) observer.onFault(error);
    throw error;
  }
}
