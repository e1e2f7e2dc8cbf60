/**
 * START HERE. Keys as resources of plain HTTP, for people and scripts: `/kv/KEY` and `/watch/KEY` (`docs/http.md`).
 *
 *   target.ts, query.ts   which key, and the parameters                          keys.ts: ranges
 *   request.ts            a request: its body, and the calls that it takes       elements.ts: long answers
 *   conditions.ts         If-Match and If-None-Match as comparisons of etcd's
 *   read.ts               GET                                                    accept.ts
 *   write.ts              PUT, DELETE                                            change.ts, lease.ts
 *   watch.ts              Server-Sent Events                                     changes.ts, events.ts
 *   response.ts           heads, errors                                          text.ts: keys as JSON
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify';
import { Code, RpcError } from '../../rpc/status.ts';
import type { BrowserGuard } from '../browser-guard.ts';
import { refuseBrowser } from '../refusals.ts';
import { read } from './read.ts';
import { KeyRequest, type KeyServing } from './request.ts';
import { begin, sendError } from './response.ts';
import { watch } from './watch.ts';
import { put, remove } from './write.ts';

type Act = (request: KeyRequest) => Promise<FastifyReply>;

/** What is done, by the path that stands for a target, and by method. */
const ACTS: Readonly<Record<string, Readonly<Record<string, Act>>>> = {
  '/kv': { GET: read, HEAD: read, PUT: put, DELETE: remove },
  '/watch': { GET: watch },
};

/** Adds them. A browser gets to them by names of the proxy's alone, since it sends no `Origin` with a GET. */
export function addKeyRoutes(app: FastifyInstance, serving: KeyServing, guard: BrowserGuard): void {
  app.addHook('onRequest', (request, _reply, done) => {
    // A value may be of any type, and Fastify would look at it.
    if (Object.hasOwn(ACTS, request.raw.url ?? '')) delete request.raw.headers['content-type'];
    done();
  });
  for (const [path, acts] of Object.entries(ACTS)) {
    const allowed = [...Object.keys(acts), 'OPTIONS'].join(', ');
    const handler: RouteHandlerMethod = async (request, reply) => {
      const refusal = guard.foreignHost(request.raw);
      if (refusal !== undefined) return refuseBrowser(reply, refusal);
      const act = acts[request.method];
      begin(reply);
      if (act !== undefined) return await serve(act, serving, request, reply);
      if (request.method === 'OPTIONS') return reply.header('allow', allowed).code(204).send();
      return sendError(
        reply.header('allow', allowed),
        new RpcError(Code.UNIMPLEMENTED, 'Method Not Allowed'),
        405,
      );
    };
    app.all(path, handler);
  }
}

async function serve(
  act: Act,
  serving: KeyServing,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  try {
    return await act(new KeyRequest(serving, request, reply));
  } catch (thrown) {
    if (!(thrown instanceof RpcError)) serving.options.observer.onFault(thrown);
    return sendError(reply, RpcError.from(thrown));
  } finally {
    // What is left of a body is read, or its client waits for ever to send it.
    if (!request.raw.complete) request.raw.resume();
  }
}
