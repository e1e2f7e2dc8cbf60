/**
 * The status of a call as Connect and gRPC-Web clients see it: the same code, text and details, in the form of
 * their protocol.
 */
import { Code as ConnectCode, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { Code, type Status } from '../../rpc/status.ts';
import { detailsOf } from '../status-details.ts';

const DETAILS_HEADER = 'grpc-status-details-bin';

/** The error that makes Connect answer a call with this status. */
export function connectError(status: Status, context: HandlerContext): ConnectError {
  const grpcWeb = context.protocolName === 'grpc-web';
  const error = new ConnectError(status.message.toWellFormed(), codeFor(status.code, grpcWeb));
  if (status.details === undefined) return error;
  // gRPC-Web carries the very bytes; set as a trailer of the call they are not encoded anew.
  if (grpcWeb) context.responseTrailer.set(DETAILS_HEADER, status.details);
  else {
    error.details = detailsOf(status.details).map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
      value,
    }));
  }
  return error;
}

/**
 * Connect writes codes as words and knows only those of today; gRPC-Web writes numbers, so that a code a newer
 * etcd may invent passes. An error without an error code is UNKNOWN in both.
 */
function codeFor(code: number, grpcWeb: boolean): ConnectCode {
  const known = code >= Code.CANCELLED && code <= Code.UNAUTHENTICATED;
  return known || (grpcWeb && code > Code.UNAUTHENTICATED) ? code : ConnectCode.Unknown;
}
