/**
 * START HERE. etcd's own JSON: the paths of its gateway, `/v3/kv/range` and so on, as its clients know them.
 *
 *   paths.ts             which method is behind which path
 *   gateway-requests.ts  a request from its head to its answer
 *   reader.ts            deadline, and messages from JSON                     ../json-message.ts, ../prefixed-metadata.ts
 *   serve.ts             messages to the services, and what they answer       told-revision.ts
 *   response.ts          replies as JSON                                      ../json-text.ts
 *   version.ts           `GET /version`
 *   websocket.ts         the same over WebSocket                              frames.ts
 *   error.ts             the end of a stream that failed                      ../http-error.ts
 *
 * Fastify finds the paths, after its hooks have seen a request. Where none of them has anything to say of one, and that is
 * so for all that no browser sends, a small call would cost more by them than by its JSON: it is served past them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Code, RpcError } from '../../rpc/status.ts';
import type { GatewayRequests } from './gateway-requests.ts';
import { methodAt, redirectOf } from './paths.ts';
import { sendError } from './response.ts';

const NOT_FOUND = new RpcError(Code.NOT_FOUND, 'Not Found');
const NOT_ALLOWED = new RpcError(Code.UNIMPLEMENTED, 'Method Not Allowed');

/** What etcd says to pages that ask whether they may call; ours are answered before, or refused. */
const OPTIONS = ['allow', 'POST', 'content-length', '0'];

/** Adds them, as one route and a table behind it. */
export function addGatewayRoutes(app: FastifyInstance, requests: GatewayRequests): void {
  app.addHook('onRequest', (request, reply, done) => {
    const instead = redirectOf(request.raw.url ?? '');
    // Newest etcd's status, by which a client keeps its method and body.
    if (instead !== undefined) {
      request.raw.resume();
      reply.code(307).header('location', instead).send();
      return;
    }
    // The gateway looks at no type of content, and Fastify would.
    if (methodAt(request.raw.url ?? '') !== undefined) delete request.raw.headers['content-type'];
    done();
  });
  // Services have names such as `v3lockpb.Lock`, which are not below these.
  for (const path of ['/v3', '/v3beta', '/v3alpha'])
    for (const below of [path, `${path}/*`])
      app.all(below, ({ raw }, reply) => {
        const response = released(reply);
        const method = methodAt(raw.url ?? '');
        if (method === undefined) sendError(response, NOT_FOUND, false);
        else if (raw.method === 'OPTIONS') response.writeHead(200, OPTIONS).end();
        else if (raw.method !== 'POST') sendError(response, NOT_ALLOWED, false, ['allow', 'POST']);
        else requests.serve(method, raw, response);
      });
}

/** Serves a request past the hooks. False: it has to take the way through them. */
export function servePastHooks(
  requests: GatewayRequests,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  // Who sends an `Origin` may be a page: see `addGround`.
  if (request.method !== 'POST' || request.headers.origin !== undefined) return false;
  const method = methodAt(request.url ?? '');
  if (method === undefined) return false;
  requests.serve(method, request, response);
  return true;
}

/** The response as Node.js has it, with the fields that hooks have set. */
function released(reply: FastifyReply): ServerResponse {
  reply.hijack();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  return reply.raw;
}
