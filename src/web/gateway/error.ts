/**
 * The end of a stream that failed, as clients of etcd's gateway see it. Releases of etcd differ in what they write; each client finds
 * what it looks for here.
 */
import { STATUS_CODES } from 'node:http';
import type { Status } from '../../rpc/status.ts';
import { details, httpStatus } from '../http-error.ts';

/** The last line of a stream that failed: `code` is for clients of etcd 3.6 and later, the rest for those before. */
export function streamError(status: Status): string {
  const { code, message } = status;
  const http = httpStatus(status);
  const error = {
    code,
    message,
    grpc_code: code,
    http_code: http,
    http_status: STATUS_CODES[http] ?? '',
    ...details(status),
  };
  return `${JSON.stringify({ error })}\n`;
}
