/**
 * The plain pages beside the RPCs: health and metrics, in the formats of etcd and its proxy.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { HealthReport, WebServerOptions } from './options.ts';

const TEXT = 'text/plain; charset=utf-8';

/** Adds the pages. */
export function addPages(app: FastifyInstance, options: WebServerOptions): void {
  const { health, observer } = options;
  app.all('/health', getOnly(healthPage(() => health.check())));
  app.all('/proxy/health', getOnly(healthPage(() => health.checkProxy())));
  const metrics = getOnly(async (reply) => {
    try {
      const page = await options.metrics();
      return reply.type(page.contentType).send(page.body);
    } catch (error) {
      observer.fault(error);
      return plainError(reply, 500, 'Internal server error');
    }
  });
  app.all('/metrics', metrics);
  app.all('/proxy/metrics', metrics);
}

type Page = (reply: FastifyReply) => Promise<FastifyReply>;

function healthPage(check: () => Promise<HealthReport>): Page {
  return async (reply) => {
    const { health, reason } = await check();
    const body = JSON.stringify({ health: String(health), reason });
    return health ? reply.code(200).type(TEXT).send(body) : plainError(reply, 503, body);
  };
}

/** A page that answers GET and nothing else. */
function getOnly(page: Page) {
  return (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> | FastifyReply => {
    if (request.method === 'GET') return page(reply);
    return plainError(reply.header('allow', 'GET'), 405, 'Method Not Allowed');
  };
}

/** An error page as Go's `http.Error` writes it. */
function plainError(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).type(TEXT).header('x-content-type-options', 'nosniff').send(`${text}\n`);
}
