/**
 * The plain pages beside the RPCs: health and metrics, in the formats of etcd and its proxy.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Client, clientOf } from '../rpc/client.ts';
import type { EtcdPage, HealthReport, MetricsPage } from '../rpc/pages.ts';
import { queryOf } from './long-targets.ts';
import type { WebServerOptions } from './options.ts';

const TEXT = 'text/plain; charset=utf-8';

/** Adds the pages. */
export function addPages(app: FastifyInstance, options: WebServerOptions): void {
  const { health, metrics, observer } = options;
  app.all('/health', getOnly(healthPage((query) => health.check(query))));
  app.all('/proxy/health', getOnly(healthPage(() => health.checkProxy())));
  const metricsPage = (make: (client: Client) => Promise<MetricsPage>) =>
    getOnly(async (reply) => {
      try {
        const page = await make(clientOf(reply.request.raw.socket));
        return reply.type(page.contentType).send(page.body);
      } catch (error) {
        observer.onFault(error);
        return plainError(reply, 500, 'Internal server error');
      }
    });
  app.all(
    '/metrics',
    metricsPage((client) => metrics.all(client)),
  );
  app.all(
    '/proxy/metrics',
    metricsPage((client) => metrics.own(client)),
  );
}

/** Answers a request for a page. */
export type PageHandler = (reply: FastifyReply, query: URLSearchParams) => Promise<FastifyReply>;

function healthPage(check: (query: URLSearchParams) => Promise<HealthReport | EtcdPage>): PageHandler {
  return async (reply, query) => {
    const answer = await check(query);
    if ('body' in answer) {
      if (answer.status >= 400) reply.header('x-content-type-options', 'nosniff');
      return reply.code(answer.status).type(TEXT).send(answer.body);
    }
    const { health, reason } = answer;
    const body = JSON.stringify({ health: String(health), reason });
    return health ? reply.code(200).type(TEXT).send(body) : plainError(reply, 503, body);
  };
}

/** A page that answers GET and nothing else. */
export function getOnly(page: PageHandler) {
  return (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> | FastifyReply => {
    if (request.method === 'GET') return page(reply, new URLSearchParams(queryOf(request.url)));
    return plainError(reply.header('allow', 'GET'), 405, 'Method Not Allowed');
  };
}

/** An error page as Go's `http.Error` writes it. */
function plainError(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).type(TEXT).header('x-content-type-options', 'nosniff').send(`${text}\n`);
}
