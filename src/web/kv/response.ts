/** Answers, and what all of them have in their heads. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { Code, RpcError, type Status } from '../../rpc/status.ts';
import { httpStatus, unaryError } from '../http-error.ts';

/**
 * A value may be anything, a page with scripts too, and comes from the proxy's own address. So no browser guesses what it is, runs
 * anything in it, or lets a page of another site have it as an image or a script. Nothing is kept for others, and what is kept is asked for again.
 */
const SAFE_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'private, no-cache',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
};

/** Begins an answer. */
export function begin(reply: FastifyReply): FastifyReply {
  const others = reply.getHeader('vary');
  const vary = 'Accept, Authorization';
  return reply
    .headers(SAFE_HEADERS)
    .header('vary', others === undefined ? vary : `${String(others)}, ${vary}`);
}

/** Says of which revision of the store an answer is. */
export function tellRevision(reply: FastifyReply, revision: bigint | undefined): void {
  if (revision !== undefined) reply.header('x-etcd-revision', String(revision));
}

/** Answers with JSON. */
export function sendJson(reply: FastifyReply, value: unknown): FastifyReply {
  return reply.type('application/json').send(Buffer.from(`${JSON.stringify(value)}\n`));
}

/** Answers with what is made as the client takes it. */
export function sendPieces(
  reply: FastifyReply,
  type: string,
  pieces: AsyncIterable<Uint8Array>,
): FastifyReply {
  reply.header('content-type', type);
  if (reply.request.method === 'HEAD') return reply.send();
  return reply.send(Readable.from(pieces, { objectMode: false }));
}

/** Answers with an error. @param status of HTTP, where it is not that of etcd's gateway */
export function sendError(reply: FastifyReply, error: Status, status = httpStatus(error)): FastifyReply {
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  return reply
    .code(status)
    .type('application/json')
    .send(Buffer.from(`${unaryError(error)}\n`));
}

/** The key has another state than the request demands. @param tag that of its state; undefined: it is not there */
export function sendMismatch(reply: FastifyReply, tag: string | undefined): FastifyReply {
  if (tag !== undefined) reply.header('etag', tag);
  const state = tag === undefined ? 'there is no such key' : `the entity tag of the key is ${tag}`;
  return sendError(
    reply,
    new RpcError(Code.FAILED_PRECONDITION, `the condition does not hold: ${state}`),
    412,
  );
}

/** The value comes compressed. */
export function sendEncoded(reply: FastifyReply): FastifyReply {
  const message = 'a value is put as it is, without Content-Encoding';
  return sendError(
    reply.header('accept-encoding', 'identity'),
    new RpcError(Code.INVALID_ARGUMENT, message),
    415,
  );
}

/** There is no such key. */
export function sendNoKey(reply: FastifyReply): FastifyReply {
  return sendError(reply, new RpcError(Code.NOT_FOUND, 'there is no such key'));
}
