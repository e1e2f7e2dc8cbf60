/**
 * Large replies leave the web door in pieces. Connect would convert each within one turn of the event loop; it is given an
 * empty message in its place, and what it makes of that is exchanged for the real one on its way out.
 */

import { pipeline } from 'node:stream';
import { promisify } from 'node:util';
import { createGzip, gzip } from 'node:zlib';
import type { DescMessage } from '@bufbuild/protobuf';
import type { WebCall } from '../call.ts';
import { jsonPieces } from '../json-pieces.ts';

/** Smaller replies are left to Connect. Bytes. */
export const LARGE_WEB_REPLY_BYTES = 256 << 10;

/** Bytes handed on at once. */
const SLICE_BYTES = 256 << 10;

/** An encoded reply, and what it is. */
export interface LargeReply {
  readonly schema: DescMessage;
  readonly message: Uint8Array;
}

/** Whose replies they are. */
interface Replying {
  readonly call: WebCall;
  /** A reply on its way that is too large for Connect. */
  largeReply: LargeReply | undefined;
}

/** A response of Connect's, as far as it matters here. */
interface Response {
  readonly status: number;
  readonly header?: Headers;
  readonly body?: AsyncIterable<Uint8Array>;
}

/** In which form the client wants its messages. */
interface Form {
  readonly json: boolean;
  /** Each message has its length in front. */
  readonly enveloped: boolean;
  readonly gzip: boolean;
}

/** The body of a response with its large messages; changes the headers where they say something else of them. */
export function withLargeReplies(
  response: Response,
  connectCall: Replying,
  acceptEncoding: string,
): AsyncIterable<Uint8Array> | undefined {
  const { header, body } = response;
  if (header === undefined || body === undefined) return body;
  const type = header.get('content-type') ?? '';
  const enveloped = !/^application\/(?:json|proto)\b/.test(type);
  let packed = header.get('grpc-encoding') === 'gzip' || header.get('connect-content-encoding') === 'gzip';
  if (!enveloped && connectCall.largeReply !== undefined) {
    packed = acceptEncoding.split(',').some((name) => name.trim() === 'gzip');
    header.delete('content-length');
    if (packed) header.set('content-encoding', 'gzip');
  }
  return exchanged(body, connectCall, { json: /\bjson\b/.test(type), enveloped, gzip: packed });
}

async function* exchanged(
  body: AsyncIterable<Uint8Array>,
  connectCall: Replying,
  form: Form,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    const reply = connectCall.largeReply;
    connectCall.largeReply = undefined;
    if (reply === undefined) yield chunk;
    else yield* converted(reply, connectCall, form);
  }
}

/** @throws RpcError for a reply that is no message, which is found out on the way. */
async function* converted(reply: LargeReply, connectCall: Replying, form: Form): AsyncGenerator<Uint8Array> {
  try {
    if (form.enveloped) yield* envelope(reply, form);
    else yield* form.gzip ? packed(contents(reply, form)) : contents(reply, form);
  } catch (error) {
    if (error instanceof Error) throw connectCall.call.malformedReply(reply.schema.typeName);
    throw error;
  }
}

function contents({ schema, message }: LargeReply, { json }: Form): AsyncGenerator<Uint8Array> {
  return json ? jsonPieces(schema, message) : slices(message);
}

async function* slices(message: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < message.length; at += SLICE_BYTES) {
    yield message.subarray(at, at + SLICE_BYTES);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

async function* packed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gz = createGzip();
  // What goes wrong comes out of the loop below.
  pipeline(source, gz, () => {});
  for await (const chunk of gz) yield chunk as Uint8Array;
}

/** A message whose length has to be known before it. */
async function* envelope(reply: LargeReply, form: Form): AsyncGenerator<Uint8Array> {
  let message = reply.message;
  if (form.json) {
    const pieces: Uint8Array[] = [];
    for await (const piece of contents(reply, form)) pieces.push(piece);
    message = Buffer.concat(pieces);
  }
  if (form.gzip) message = await promisify(gzip)(message);
  const head = Buffer.of(form.gzip ? 1 : 0, 0, 0, 0, 0);
  head.writeUInt32BE(message.length, 1);
  yield head;
  yield* slices(message);
}
