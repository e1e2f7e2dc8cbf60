/**
 * The values of gRPC's own header fields: `grpc-timeout`, the percent-encoded `grpc-message`, and the status
 * that ends a call (grpc/grpc `doc/PROTOCOL-HTTP2.md`).
 */
import { encodeHeaders } from '../http2/index.ts';
import { fieldValue, type HeaderFields, type Metadata } from '../rpc/metadata.ts';
import { Code, RpcError, type Status } from '../rpc/status.ts';

/** Text as `grpc-message` carries it: UTF-8, percent-encoded outside of printable ASCII. */
function encodeMessage(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** The text of a `grpc-message`. Broken escapes are kept as they are, as the specification asks. */
function decodeMessage(value: string): string {
  if (!value.includes('%')) return value;
  const bytes: number[] = [];
  for (let i = 0; i < value.length; i++) {
    const digits = value[i] === '%' ? /^[0-9A-Fa-f]{2}/.exec(value.slice(i + 1, i + 3)) : null;
    if (digits) i += 2;
    bytes.push(digits ? Number.parseInt(digits[0], 16) : value.charCodeAt(i) & 0xff);
  }
  return Buffer.from(bytes).toString('utf8');
}

/** The trailing fields that end a call: status, text and details, then the application's trailers. */
export function statusFields(status: Status, trailers: Metadata): string[] {
  const fields = ['grpc-status', String(status.code), 'grpc-message', encodeMessage(status.message)];
  if (status.details !== undefined) fields.push('grpc-status-details-bin', status.details);
  return fields.concat(trailers.fields);
}

/** The status in a block of trailers, or `undefined` when there is none. */
export function readStatus(fields: HeaderFields): Status | undefined {
  const text = fieldValue(fields, 'grpc-status');
  if (text === undefined) return undefined;
  const code = /^\d{1,9}$/.test(text) ? Number(text) : Code.UNKNOWN;
  const message = decodeMessage(fieldValue(fields, 'grpc-message') ?? '');
  return { code, message, details: fieldValue(fields, 'grpc-status-details-bin') };
}

/** Response headers of most gRPC answers without metadata of their own. */
export const RESPONSE_FIELDS: HeaderFields = [':status', '200', 'content-type', 'application/grpc'];

const GRPC_TYPE = /^application\/grpc(?:$|[+;](.*))/s;

/** Whether a content type is gRPC's, as gRPC's servers read it: in lower case, with any subtype or none. */
export function isGrpcType(contentType: string): boolean {
  return GRPC_TYPE.test(contentType);
}

/** Response headers of every answer to a request of a content type: the subtype comes back, as from etcd. */
export function responseFields(contentType: string): HeaderFields {
  const subtype = GRPC_TYPE.exec(contentType)?.[1] ?? '';
  if (subtype === '') return RESPONSE_FIELDS;
  return [':status', '200', 'content-type', `application/grpc+${subtype}`];
}

/** {@link RESPONSE_FIELDS}, encoded. */
export const RESPONSE_BLOCK = encodeHeaders(RESPONSE_FIELDS);

/** The trailers of a successful call without metadata of its own, encoded. */
export const OK_TRAILERS_BLOCK = encodeHeaders(['grpc-status', '0', 'grpc-message', '']);

/** Go's words, so that they mean the same where another proxy has found them and hands them on. */
const HTTP_STATUS = 'unexpected HTTP status code received from server: ';

/**
 * Whether a status was made of an HTTP status, here or by a proxy on the way: it is no word of a gRPC server, but of something
 * before it, or in its place.
 */
export function isOfHttp({ message }: Pick<Status, 'message'>): boolean {
  return message.startsWith(HTTP_STATUS);
}

/** The status that an HTTP status other than 200 stands for (grpc/grpc `doc/http-grpc-status-mapping.md`). */
export function statusOfHttp(httpStatus: string | undefined): RpcError {
  const codes: Readonly<Record<string, number>> = {
    '400': Code.INTERNAL,
    '401': Code.UNAUTHENTICATED,
    '403': Code.PERMISSION_DENIED,
    '404': Code.UNIMPLEMENTED,
    '429': Code.UNAVAILABLE,
    '502': Code.UNAVAILABLE,
    '503': Code.UNAVAILABLE,
    '504': Code.UNAVAILABLE,
  };
  return new RpcError(codes[httpStatus ?? ''] ?? Code.UNKNOWN, `${HTTP_STATUS}${httpStatus}`);
}

/** The status that a stream's HTTP/2 error code stands for (grpc/grpc `doc/PROTOCOL-HTTP2.md`, "Errors"). */
export function codeOfReset(errorCode: number): number {
  switch (errorCode) {
    case 7: // REFUSED_STREAM
      return Code.UNAVAILABLE;
    case 8: // CANCEL
      return Code.CANCELLED;
    case 11: // ENHANCE_YOUR_CALM
      return Code.RESOURCE_EXHAUSTED;
    case 12: // INADEQUATE_SECURITY
      return Code.PERMISSION_DENIED;
    default:
      return Code.INTERNAL;
  }
}
