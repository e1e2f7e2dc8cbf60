/**
 * The error codes of HTTP/2 and the one error class of this library. An `Http2Error` thrown while bytes
 * are parsed is a connection error (RFC 9113 section 5.4.1): it never leaves the connection, which turns
 * it into a GOAWAY frame.
 */

/** The error codes of RFC 9113 section 7, as carried by RST_STREAM and GOAWAY frames. */
export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

const names = new Map<number, string>(Object.entries(ErrorCode).map(([name, code]) => [code, name]));

/** As much as a log takes of what a peer says for people, in octets. */
const DEBUG_LIMIT = 200;

/** GOAWAY's debug data as text fit for a log: ` "too_many_pings"`, with the space in front; nothing where there is none. */
export function debugText(debug: Buffer): string {
  if (debug.length === 0) return '';
  const text = debug.toString('latin1', 0, DEBUG_LIMIT).replace(/[^ -~]/g, '?');
  return ` "${text}"${debug.length > DEBUG_LIMIT ? '...' : ''}`;
}

/** The RFC's name of an error code, or its number in hexadecimal when the RFC does not know it. */
export function errorName(code: number): string {
  return names.get(code) ?? `0x${code.toString(16)}`;
}

/** A failure of a connection or of a call on it; `code` is one of {@link ErrorCode} (or what the peer sent). */
export class Http2Error extends Error {
  override readonly name = 'Http2Error';
  /** The error code of RFC 9113 section 7. */
  readonly code: number;
  /** The message without the code in front, as GOAWAY's debug data: gRPC clients look for `too_many_pings`. */
  readonly detail: string;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(`${errorName(code)}: ${message}`, options);
    this.code = code;
    this.detail = message;
  }
}

/** A connection error of type PROTOCOL_ERROR, the most frequent one while parsing. */
export function protocolError(message: string): Http2Error {
  return new Http2Error(ErrorCode.PROTOCOL_ERROR, message);
}

/** The end of a connection whose socket has failed, or was closed by the peer. */
export function lostBy(failure: Error | undefined): Http2Error {
  const message = failure?.message ?? 'the peer closed the connection';
  return new Http2Error(ErrorCode.CANCEL, message, { cause: failure });
}
