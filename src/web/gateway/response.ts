/** Replies of etcd as its gateway writes them. */
import type { ServerResponse } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import type { DescMessage } from '@bufbuild/protobuf';
import { type Metadata, NO_METADATA } from '../../rpc/metadata.ts';
import type { Status } from '../../rpc/status.ts';
import type { WebCall } from '../call.ts';
import { httpStatus, unaryError } from '../http-error.ts';
import { jsonPieces } from '../json-pieces.ts';
import { ETCD_FORM, etcdJson } from '../json-text.ts';
import { LARGE_BYTES } from '../options.ts';
import { streamError } from './error.ts';

const JSON_TYPE = 'application/json';

/** Answers a unary call. @throws RpcError (rejects) when the reply is no message, unless that is found out on the way */
export async function sendReply(
  response: ServerResponse,
  call: WebCall,
  schema: DescMessage,
  message: Uint8Array,
): Promise<void> {
  if (message.length < LARGE_BYTES) sendSmall(response, call, schema, message);
  else {
    const pieces = piecesOf(call, schema, message);
    // Before the head, since the whole answer is another one when there is none.
    const first = await pieces.next();
    sendLines(response, call, resumed(first, pieces));
  }
}

/** Answers with a small message, with one write. @throws RpcError when it is none */
function sendSmall(response: ServerResponse, call: WebCall, schema: DescMessage, message: Uint8Array): void {
  sendText(response, 200, replyFields(call), textOf(call, schema, message));
}

/** Answers with bytes that are made as the client takes them. */
export function sendLines(response: ServerResponse, call: WebCall, lines: AsyncIterable<Uint8Array>): void {
  response.writeHead(200, replyFields(call));
  // What ends it early is told by the response, which closes.
  pipeline(Readable.from(lines, { objectMode: false }), response, () => {});
}

/** Answers with the status of a call that failed before anything was sent. */
export function sendError(
  response: ServerResponse,
  status: Status,
  streams: boolean,
  fields: readonly string[] = [],
): void {
  const http = httpStatus(status);
  const head = ['content-type', JSON_TYPE, ...fields];
  if (http === 401) head.push('www-authenticate', headerValue(status.message));
  sendText(response, http, head, streams ? streamError(status) : unaryError(status));
}

/** A message of a stream: one line, made in pieces where it is large. @throws RpcError when it is no message */
export async function lineOf(call: WebCall, schema: DescMessage, message: Uint8Array): Promise<Uint8Array> {
  return await wholeOf(call, schema, message, '{"result":', '}\n');
}

/**
 * The JSON of a message, made in pieces where it is large.
 * @param before what stands before it @param after what stands behind it
 * @throws RpcError (rejects) when it is none
 */
export async function wholeOf(
  call: WebCall,
  schema: DescMessage,
  message: Uint8Array,
  before = '',
  after = '',
): Promise<Uint8Array> {
  if (message.length < LARGE_BYTES) return Buffer.from(`${before}${textOf(call, schema, message)}${after}`);
  const pieces: Uint8Array[] = [Buffer.from(before)];
  for await (const piece of piecesOf(call, schema, message)) pieces.push(piece);
  pieces.push(Buffer.from(after));
  return Buffer.concat(pieces);
}

/** The JSON of a message. @throws RpcError when it is none */
function textOf(call: WebCall, schema: DescMessage, message: Uint8Array): string {
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

async function* resumed<T>(first: IteratorResult<T>, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

/** Head and text together, which Node.js writes as one where the body is text. */
function sendText(response: ServerResponse, status: number, fields: string[], text: string): void {
  fields.push('content-length', String(Buffer.byteLength(text)));
  response.writeHead(status, fields).end(text);
}

/** The fields of a reply: etcd's metadata has a prefix. */
function replyFields({ responseHeaders }: WebCall): string[] {
  const head = ['content-type', JSON_TYPE, 'grpc-metadata-content-type', 'application/grpc'];
  if (responseHeaders === NO_METADATA) return head;
  const { fields }: Metadata = responseHeaders;
  for (let i = 0; i < fields.length; i += 2) head.push(`grpc-metadata-${fields[i]}`, fields[i + 1] as string);
  return head;
}

/** What a header field cannot hold is left out. */
function headerValue(text: string): string {
  return text.replaceAll(/[^\t\x20-\x7e]/g, '');
}
