/**
 * The outcome of a call as gRPC defines it: a code, a message and opaque details. Every protocol the proxy
 * speaks translates from and to this one shape, so an etcd error keeps its code, text and details whichever
 * way it travels.
 */

/** gRPC status codes (grpc/grpc `doc/statuscodes.md`). */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** The code names as etcd's metrics and Go's gRPC write them, by number. */
export const CODE_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;

/** How a call ended. `code` 0 is success; anything else is an error to be relayed as it is. */
export interface Status {
  /** A number of {@link Code}; codes a newer etcd may invent pass unchanged. */
  readonly code: number;
  /** Human text, unescaped. */
  readonly message: string;
  /** The value of `grpc-status-details-bin` (base64 text), relayed untouched. */
  readonly details?: string | undefined;
  /** For the proxy itself, never on the wire: why it could not ask etcd, where somebody acts on it. */
  readonly cause?: LocalCause | undefined;
}

/**
 * `no-stream`: etcd is there, but allows no more streams; asking again at once cannot help. `too-large`: a message is
 * larger than may be received.
 */
export type LocalCause = 'no-stream' | 'too-large';

/** Go's words for a deadline that has passed. */
export const DEADLINE_EXCEEDED = 'context deadline exceeded';

/** The status of a call that succeeded. */
export const OK: Status = { code: Code.OK, message: '' };

/**
 * A failed call. Carries no stack trace: it describes a wire status, not a fault in the program, and capturing
 * a stack costs more than forwarding the call.
 */
export class RpcError extends Error implements Status {
  readonly code: number;
  readonly details: string | undefined;
  override readonly cause: LocalCause | undefined;

  constructor(code: number, message: string, details?: string, cause?: LocalCause) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
    this.name = 'RpcError';
    this.code = code;
    this.details = details;
    this.cause = cause;
  }

  /** For a call that its client has given up, in Go's words. */
  static cancelled(): RpcError {
    return new RpcError(Code.CANCELLED, 'context canceled');
  }

  /** For a call whose deadline has passed, in Go's words. */
  static deadlineExceeded(): RpcError {
    return new RpcError(Code.DEADLINE_EXCEEDED, DEADLINE_EXCEEDED);
  }

  /** The error for anything thrown: an `RpcError` as it is, every other fault as INTERNAL without its text. */
  static from(thrown: unknown): RpcError {
    if (thrown instanceof RpcError) return thrown;
    return new RpcError(Code.INTERNAL, 'etcd-connect-proxy: internal error');
  }
}

/** The text for a request over `--max-send-bytes`: the words of Go's gRPC client, which the incumbent uses. */
export function tooLargeForEtcd(size: number, limit: number): string {
  return `trying to send message larger than max (${size} vs. ${limit})`;
}

/** The text for a message of etcd's over `--max-recv-bytes`, in the same words. */
export function tooLargeFromEtcd(size: number, limit: number): string {
  return `grpc: received message larger than max (${size} vs. ${limit})`;
}

/** The text for a request that is refused because of what is held for all requests together. */
export const TOO_MUCH_HELD =
  'etcd-connect-proxy: too much is held for requests (--max-request-bytes-in-flight)';
