/**
 * What the headers of a gRPC request say. Clients send the same headers call after call, and the HTTP/2 engine
 * gives equal header blocks as the same list, so a head is worked out once per distinct list.
 */
import { type HeaderFields, type Metadata, requestMetadata } from '../rpc/metadata.ts';
import { Code, RpcError } from '../rpc/status.ts';
import { parseTimeout } from './fields.ts';

/** The parsed headers of one request; shared between requests with identical headers. */
export interface RequestHead {
  readonly path: string;
  readonly metadata: Metadata;
  /** Milliseconds from `grpc-timeout`, if there was one. */
  readonly timeout: number | undefined;
  /** `grpc-encoding`, if it is not `identity`. */
  readonly encoding: string | undefined;
  /** What is wrong with the headers, if anything. */
  readonly error: RpcError | undefined;
  /** Set with {@link error} where HTTP has a status for it. */
  readonly httpStatus: string;
}

const known = new WeakMap<HeaderFields, RequestHead>();

/** Whether a content type names gRPC itself, as opposed to gRPC-Web and everything else. */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:[+;]|$)/.test(contentType);
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
  const encoding = named['grpc-encoding'] === 'identity' ? undefined : named['grpc-encoding'];
  const timeoutText = named['grpc-timeout'];
  const timeout = timeoutText === undefined ? undefined : parseTimeout(timeoutText);
  const { error, httpStatus } = problem(named, timeout, encoding);
  return {
    path: named[':path'] ?? '',
    metadata: requestMetadata(fields),
    timeout,
    encoding,
    error,
    httpStatus,
  };
}

function problem(named: Record<string, string>, timeout: number | undefined, encoding: string | undefined) {
  const method = named[':method'] ?? '';
  const contentType = named['content-type'] ?? '';
  if (method !== 'POST') {
    return fault(
      '405',
      Code.INTERNAL,
      `Received a HEADERS frame with :method "${method}" which should be POST`,
    );
  }
  if (!/^application\/grpc(?:\+proto)?(?:;|$)/.test(contentType)) {
    return fault('415', Code.INVALID_ARGUMENT, `invalid gRPC request content-type "${contentType}"`);
  }
  if (named['grpc-timeout'] !== undefined && timeout === undefined) {
    return fault('400', Code.INTERNAL, `malformed grpc-timeout: "${named['grpc-timeout']}"`);
  }
  if (encoding !== undefined && encoding !== 'gzip') {
    return fault(
      '200',
      Code.UNIMPLEMENTED,
      `grpc: Decompressor is not installed for grpc-encoding "${encoding}"`,
    );
  }
  return { error: undefined, httpStatus: '200' };
}

function fault(httpStatus: string, code: number, message: string) {
  return { error: new RpcError(code, message), httpStatus };
}
