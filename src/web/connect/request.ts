/** A request of Fastify's as Connect reads it: with a body that arrives as there is memory for it. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { queryOf } from '../long-targets.ts';
import { MessageDecoder } from '../message-decoder.ts';
import { bodyOf, clientGone } from '../request-body.ts';
import type { WebRequest } from '../request-memory.ts';
import { dropLongDeadlines } from './deadline.ts';
import { binaryForm, fromText, isTextForm } from './grpc-web-text.ts';
import { bodyForConnect } from './large-request.ts';
import type { ConnectCall, UniversalHandler, UniversalRequest } from './request-gate.ts';

/** Reads large requests for all of them. */
const decoder = new MessageDecoder();

/** What a request is read with. */
export interface ReadOptions {
  /** The most that a body may be once it is unpacked. */
  readonly maxBytes: number;
  /** Where it is counted what the request holds. */
  readonly held: WebRequest | undefined;
}

/** The request of a call, for the handler of its method. */
export function universalRequest(
  { requestPath }: UniversalHandler,
  { raw }: FastifyRequest,
  reply: FastifyReply,
  connectCall: ConnectCall,
  { maxBytes, held }: ReadOptions,
): UniversalRequest {
  const signal = goneSignal(reply);
  const header = webHeaders(raw.headers);
  dropLongDeadlines(header);
  const { 'content-type': contentType = '' } = raw.headers;
  const asText = isTextForm(contentType);
  if (asText) {
    header.set('content-type', binaryForm(contentType));
    header.delete('content-length'); // it is of the text
  }
  const content = bodyOf(raw, held, connectCall.call);
  const large = { connectCall, decoder, maxBytes, signal, held };
  return {
    httpVersion: raw.httpVersion,
    method: raw.method ?? '',
    // Whatever host the client named, or none: Connect takes the path and the query of it.
    url: `http://localhost${requestPath}${queryOf(raw.url ?? '')}`,
    header,
    body: bodyForConnect(asText ? fromText(content) : content, header, large),
    signal,
    contextValues: connectCall.contextValues,
  };
}

/** Is aborted when the client goes before it has the whole answer. */
function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(clientGone());
  });
  return gone.signal;
}

function webHeaders(fields: FastifyRequest['raw']['headers']): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value ?? '']) headers.append(name, one);
  }
  return headers;
}
