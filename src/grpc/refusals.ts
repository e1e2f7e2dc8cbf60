/**
 * Why a gRPC request is refused for its headers alone: what etcd's own gRPC server finds wrong, in its order and
 * in its words.
 */
import { Code, RpcError } from '../rpc/status.ts';
import { isTimeoutUnit, parseTimeout } from '../rpc/timeout.ts';
import { isGrpcType } from './fields.ts';

/** What is wrong with the headers of a request, and the status that HTTP has for it. */
export interface Refusal {
  readonly error: RpcError;
  readonly httpStatus: string;
  /** Whether the client asked for an encoding that is not known, and is told which are. */
  readonly encoding: boolean;
}

/** What is wrong with header fields, by name, if anything. */
export function refusalOf(
  named: Readonly<Record<string, string>>,
  encoding: string | undefined,
): Refusal | undefined {
  const { 'content-type': contentType = '', ':method': method = '', ':path': path = '' } = named;
  const timeout = named['grpc-timeout'];
  if (!isGrpcType(contentType)) {
    const message = `invalid gRPC request content-type ${quoted(contentType)}`;
    return refusal('415', Code.INVALID_ARGUMENT, message);
  }
  if (timeout !== undefined && parseTimeout(timeout) === undefined) {
    return refusal('400', Code.INTERNAL, `malformed grpc-timeout: ${problemOfTimeout(timeout)}`);
  }
  if (method !== 'POST') {
    const message = `Received a HEADERS frame with :method ${quoted(method)} which should be POST`;
    return refusal('405', Code.INTERNAL, message);
  }
  if (!path.startsWith('/')) {
    return refusal('200', Code.UNIMPLEMENTED, `malformed method name: ${quoted(path)}`);
  }
  if (encoding !== undefined && encoding !== 'gzip') {
    const message = `grpc: Decompressor is not installed for grpc-encoding ${quoted(encoding)}`;
    return { ...refusal('200', Code.UNIMPLEMENTED, message), encoding: true };
  }
  return undefined;
}

function refusal(httpStatus: string, code: number, message: string): Refusal {
  return { httpStatus, error: new RpcError(code, message), encoding: false };
}

/** What Go finds wrong with a malformed `grpc-timeout`. */
function problemOfTimeout(text: string): string {
  if (text.length < 2) return `transport: timeout string is too short: ${quoted(text)}`;
  if (text.length > 9) return `transport: timeout string is too long: ${quoted(text)}`;
  if (!isTimeoutUnit(text.slice(-1))) return `transport: timeout unit is not recognized: ${quoted(text)}`;
  return `strconv.ParseUint: parsing ${quoted(text.slice(0, -1))}: invalid syntax`;
}

/** Text in double quotes as Go's `%q` writes it; bytes outside of ASCII are all escaped. */
function quoted(text: string): string {
  const escaped = text.replace(/["\\]|[^ -~]/g, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    return SHORT_ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  return `"${escaped}"`;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\v': '\\v',
  '\f': '\\f',
};
