/** Replies of etcd as its gateway writes them. */
import { Readable } from 'node:stream';
import type { DescMessage } from '@bufbuild/protobuf';
import type { FastifyReply } from 'fastify';
import type { Metadata } from '../../rpc/metadata.ts';
import type { Status } from '../../rpc/status.ts';
import type { WebCall } from '../call.ts';
import { httpStatus, unaryError } from '../http-error.ts';
import { jsonPieces } from '../json-pieces.ts';
import { ETCD_FORM, etcdJson } from '../json-text.ts';
import { LARGE_BYTES } from '../options.ts';
import { streamError } from './error.ts';

const JSON_TYPE = 'application/json';

/** Answers a unary call. @throws RpcError when the reply is no message, unless that is found out on the way */
export function sendReply(
  reply: FastifyReply,
  call: WebCall,
  schema: DescMessage,
  message: Uint8Array,
): FastifyReply {
  const body =
    message.length < LARGE_BYTES
      ? Buffer.from(textOf(call, schema, message))
      : Readable.from(piecesOf(call, schema, message), { objectMode: false });
  return begin(reply, 200, call.responseHeaders).send(body);
}

/** Answers with lines that are made as the client takes them. */
export function sendLines(
  reply: FastifyReply,
  call: WebCall,
  lines: AsyncIterable<Uint8Array>,
): FastifyReply {
  return begin(reply, 200, call.responseHeaders).send(Readable.from(lines, { objectMode: false }));
}

/** Answers with the status of a call that failed before anything was sent. */
export function sendError(reply: FastifyReply, status: Status, streams: boolean): FastifyReply {
  if (httpStatus(status) === 401) reply.header('www-authenticate', headerValue(status.message));
  const body = streams ? streamError(status) : unaryError(status);
  return begin(reply, httpStatus(status)).send(Buffer.from(body));
}

/** A message of a stream: one line, made in pieces where it is large. @throws RpcError when it is no message */
export async function lineOf(call: WebCall, schema: DescMessage, message: Uint8Array): Promise<Uint8Array> {
  if (message.length < LARGE_BYTES) return Buffer.from(`{"result":${textOf(call, schema, message)}}\n`);
  const pieces: Uint8Array[] = [Buffer.from('{"result":')];
  for await (const piece of piecesOf(call, schema, message)) pieces.push(piece);
  pieces.push(Buffer.from('}\n'));
  return Buffer.concat(pieces);
}

/** The JSON of a message. @throws RpcError when it is none */
export function textOf(call: WebCall, schema: DescMessage, message: Uint8Array): string {
  try {
    return etcdJson(schema, message);
  } catch (error) {
    if (error instanceof Error) throw call.malformedReply(schema.typeName);
    throw error;
  }
}

async function* piecesOf(
  call: WebCall,
  schema: DescMessage,
  message: Uint8Array,
): AsyncGenerator<Uint8Array> {
  try {
    yield* jsonPieces(schema, message, ETCD_FORM);
  } catch (error) {
    if (error instanceof Error) throw call.malformedReply(schema.typeName);
    throw error;
  }
}

function begin(reply: FastifyReply, status: number, metadata?: Metadata): FastifyReply {
  reply.code(status).header('content-type', JSON_TYPE);
  if (metadata === undefined) return reply;
  reply.header('grpc-metadata-content-type', 'application/grpc');
  const { fields } = metadata;
  for (let i = 0; i < fields.length; i += 2)
    reply.header(`grpc-metadata-${fields[i]}`, fields[i + 1] as string);
  return reply;
}

/** What a header field cannot hold is left out. */
function headerValue(text: string): string {
  return text.replaceAll(/[^\t\x20-\x7e]/g, '');
}
