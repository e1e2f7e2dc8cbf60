/**
 * Answers to requests that no RPC and no page takes, in a form that the asking client understands.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Code, RpcError } from '../rpc/status.ts';
import type { BrowserRefusal } from './browser-guard.ts';
import { unaryError } from './http-error.ts';

const GRPC_WEB = /^application\/grpc-web(?:[-+;]|$)/i;
const GRPC = /^application\/grpc(?:[+;]|$)/i;
const CONNECT = /^application\/(?:json|proto|connect\+(?:json|proto))(?:;|$)/i;

/**
 * No type of content that is served here is as long. Fastify and Connect each remember the types that they have read,
 * by number and for ever, so that longer ones must not come so far. Characters.
 */
const MAX_CONTENT_TYPE = 128;

/** What is looked at in a request. */
interface Headed {
  readonly headers: IncomingHttpHeaders;
}

/** Whether a request's type of content is longer than any that is served. */
export function hasLongType(request: Headed): boolean {
  return contentType(request).length > MAX_CONTENT_TYPE;
}

/** Its answer. */
export function refuseLongType(reply: FastifyReply): FastifyReply {
  return reply.code(415).type('text/plain; charset=utf-8').send('no such content type is supported\n');
}

/** Paths whose errors are those of etcd's gateway. */
const GATEWAY = /^\/(?:kv|watch|v3(?:alpha|beta)?)(?:[/?]|$)/;

/** A page that may not call. */
export function refuseBrowser(reply: FastifyReply, { status, message }: BrowserRefusal): FastifyReply {
  if (GATEWAY.test(reply.request.url)) {
    const error = unaryError(new RpcError(Code.PERMISSION_DENIED, message));
    return reply
      .code(status)
      .type('application/json')
      .send(Buffer.from(`${error}\n`));
  }
  return reply.code(status).send({ code: 'permission_denied', message });
}

/** Whether a request speaks gRPC itself, which needs HTTP/2. */
export function isGrpc(request: Headed): boolean {
  return GRPC.test(contentType(request));
}

/** gRPC came over HTTP/1.1. Refused with Go's words. */
export function refuseGrpc(reply: FastifyReply): FastifyReply {
  return reply.code(505).type('text/plain; charset=utf-8').send('gRPC requires HTTP/2\n');
}

/** An RPC on whose stream both sides talk: neither gRPC-Web nor Connect over HTTP/1.1 can carry it. */
export function refuseBidi(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const message = 'bidirectional streaming needs gRPC; see etcdconnect.v1.Browser';
  if (request.method !== 'POST') return reply.code(405).header('allow', 'POST').send();
  if (GRPC_WEB.test(contentType(request))) return grpcWebUnimplemented(request, reply, message);
  // A client that goes on sending waits for no answer; closing the connection ends its wait.
  return reply.code(505).header('connection', 'close').send({ code: 'unimplemented', message });
}

/** What somebody who looks at the address may want. No status of success: a probe must not take it for health. */
const HINT =
  'no such path; there are /health, /metrics, /version, /kv/KEY, /watch/KEY and /v3/... (docs/http.md)';

/** There is nothing at this path. */
export function refuseUnknown(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const type = contentType(request);
  const path = request.url.split('?', 1)[0] as string;
  if (GRPC_WEB.test(type)) return grpcWebUnimplemented(request, reply, `unknown method ${path}`);
  if (CONNECT.test(type)) {
    return reply.code(404).send({ code: 'unimplemented', message: `unknown method ${path}` });
  }
  return reply.code(404).send({ code: 'not_found', message: path === '/' ? HINT : 'no such path' });
}

/** A response of nothing but trailers, which gRPC-Web sends as headers. */
function grpcWebUnimplemented(request: FastifyRequest, reply: FastifyReply, message: string): FastifyReply {
  return reply
    .code(200)
    .type(contentType(request))
    .header('grpc-status', '12')
    .header('grpc-message', encodeURIComponent(message.toWellFormed()))
    .send();
}

function contentType({ headers }: Headed): string {
  return headers['content-type'] ?? '';
}
