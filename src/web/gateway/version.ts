/** `GET /version`, by which clients of the gateway choose its path. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Code, RpcError } from '../../rpc/status.ts';
import { httpStatus, unaryError } from '../http-error.ts';
import type { WebServerOptions } from '../options.ts';
import { getOnly } from '../pages.ts';

/** Adds it. */
export function addVersion(app: FastifyInstance, { version, observer }: WebServerOptions): void {
  app.all(
    '/version',
    getOnly(async (reply) => {
      try {
        const body = await version.body();
        return json(reply, body);
      } catch (error) {
        if (!(error instanceof RpcError)) observer.onFault(error);
        // Whatever keeps etcd from saying it, a client shall take this endpoint for one that is out of service.
        const status = new RpcError(Code.UNAVAILABLE, RpcError.from(error).message);
        return json(reply.code(httpStatus(status)), unaryError(status));
      }
    }),
  );
}

function json(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', 'application/json').send(Buffer.from(text));
}
