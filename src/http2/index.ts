/**
 * A self-contained HTTP/2 library (RFC 9113, RFC 7541): both roles over a socket, made for many small
 * messages. It knows nothing of what is carried. Start at {@link Http2Connection}.
 */
export { requestAside } from './aside.ts';
export { Http2Connection } from './connection.ts';
export { debugText, ErrorCode, errorName, Http2Error } from './errors.ts';
export { PREFACE } from './frame.ts';
export { encodeHeaders } from './hpack/encoder.ts';
export type { HeaderList } from './hpack/header-block.ts';
export {
  type ConnectionHandle,
  type ConnectionListener,
  type Http2Stream,
  IGNORING,
  type StreamListener,
} from './listener.ts';
export type { RequestAccount, RequestAccounts } from './request-intake.ts';
export type { Http2Settings, LimitName, Role } from './settings.ts';
