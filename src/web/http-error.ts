/** The status of a call as an answer of plain HTTP, with the numbers and names of etcd's gateway. */
import { Code, type Status } from '../rpc/status.ts';
import { detailsOf } from './status-details.ts';

/** The statuses of HTTP by code of gRPC; all others are 500. */
const HTTP_STATUS: Readonly<Record<number, number>> = {
  [Code.OK]: 200,
  [Code.CANCELLED]: 499,
  [Code.INVALID_ARGUMENT]: 400,
  [Code.DEADLINE_EXCEEDED]: 504,
  [Code.NOT_FOUND]: 404,
  [Code.ALREADY_EXISTS]: 409,
  [Code.PERMISSION_DENIED]: 403,
  [Code.RESOURCE_EXHAUSTED]: 429,
  [Code.FAILED_PRECONDITION]: 400,
  [Code.ABORTED]: 409,
  [Code.OUT_OF_RANGE]: 400,
  [Code.UNIMPLEMENTED]: 501,
  [Code.UNAVAILABLE]: 503,
  [Code.UNAUTHENTICATED]: 401,
};

/** The status of HTTP for a status. */
export function httpStatus({ code }: Status): number {
  return HTTP_STATUS[code] ?? 500;
}

/** The body of an answer that is an error: `error` is for clients of etcd 3.5 and before, the rest for all. */
export function unaryError(status: Status): string {
  const { code, message } = status;
  return JSON.stringify({ error: message, code, message, ...details(status) });
}

/** What stands beside a message, where there is any. */
export function details({ details = '' }: Status) {
  const all = detailsOf(details).map(({ typeUrl, value }) => ({
    '@type': typeUrl,
    value: Buffer.from(value).toString('base64'),
  }));
  return all.length === 0 ? {} : { details: all };
}
