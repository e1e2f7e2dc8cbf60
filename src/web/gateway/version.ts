/** `GET /version`, by which clients of the gateway choose its path. */
import type { FastifyInstance } from 'fastify';
import { Code, RpcError } from '../../rpc/status.ts';
import type { WebServerOptions } from '../options.ts';
import { getOnly } from '../pages.ts';
import { sendError } from './response.ts';

/** Adds it. */
export function addVersion(app: FastifyInstance, { version, observer }: WebServerOptions): void {
  app.all(
    '/version',
    getOnly(async (reply) => {
      try {
        const body = await version.body();
        return reply.header('content-type', 'application/json').send(Buffer.from(body));
      } catch (error) {
        if (!(error instanceof RpcError)) observer.onFault(error);
        // Whatever keeps etcd from saying it, a client shall take this endpoint for one that is out of service.
        return sendError(reply, new RpcError(Code.UNAVAILABLE, RpcError.from(error).message), false);
      }
    }),
  );
}
