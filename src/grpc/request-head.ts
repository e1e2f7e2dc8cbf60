/**
 * What the headers of a gRPC request say. Clients send the same headers call after call, and the HTTP/2 engine
 * gives equal header blocks as the same list, so a head is worked out once per distinct list.
 */
import { encodeHeaders } from '../http2/index.ts';
import { type HeaderFields, type Metadata, requestMetadata } from '../rpc/metadata.ts';
import { parseTimeout } from '../rpc/timeout.ts';
import { wasHere } from '../rpc/via.ts';
import { RESPONSE_BLOCK, RESPONSE_FIELDS, responseFields } from './fields.ts';
import { type Refusal, refusalOf } from './refusals.ts';

/** The parsed headers of one request; shared between requests with identical headers. */
export interface RequestHead {
  readonly path: string;
  /** `:authority`, or `host`, which a client may send in its place (RFC 9113 8.3.1); empty where there is neither. */
  readonly authority: string;
  readonly metadata: Metadata;
  /** Milliseconds from `grpc-timeout`, if there was one. */
  readonly timeout: number | undefined;
  /** `grpc-encoding`, if it is not `identity`. */
  readonly encoding: string | undefined;
  /** The headers of every answer to it: the content type is that of the request. */
  readonly responseFields: HeaderFields;
  /** {@link responseFields}, encoded. */
  readonly responseBlock: Uint8Array;
  /** It has come through this process before. */
  readonly wasHere: boolean;
  /** What is wrong with the headers, if anything. */
  readonly refusal: Refusal | undefined;
}

const known = new WeakMap<HeaderFields, RequestHead>();

/**
 * Whether a content type is gRPC's, or means to be but is written otherwise, as opposed to gRPC-Web and everything
 * else. What is written otherwise is refused in gRPC's own form.
 */
export function meansGrpc(contentType: string | undefined): boolean {
  if (contentType === 'application/grpc') return true;
  return contentType !== undefined && /^\s*application\/grpc(?!-web(?:[-+;]|$))/i.test(contentType);
}

/** The head of a request. */
export function requestHead(fields: HeaderFields): RequestHead {
  let head = known.get(fields);
  if (head === undefined) {
    head = parseHead(fields);
    known.set(fields, head);
  }
  return head;
}

function parseHead(fields: HeaderFields): RequestHead {
  const named: Record<string, string> = Object.create(null);
  for (let i = 0; i < fields.length; i += 2) named[fields[i] as string] = fields[i + 1] as string;
  const encoding = named['grpc-encoding'] === 'identity' ? undefined : named['grpc-encoding'] || undefined;
  const timeoutText = named['grpc-timeout'];
  const answer = responseFields(named['content-type'] ?? '');
  return {
    path: named[':path'] ?? '',
    authority: named[':authority'] ?? named.host ?? '',
    metadata: requestMetadata(fields),
    timeout: timeoutText === undefined ? undefined : parseTimeout(timeoutText),
    encoding,
    responseFields: answer,
    responseBlock: answer === RESPONSE_FIELDS ? RESPONSE_BLOCK : encodeHeaders(answer),
    wasHere: wasHere(fields),
    refusal: refusalOf(named, encoding),
  };
}
