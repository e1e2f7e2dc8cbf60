/**
 * The status of a call as Connect and gRPC-Web clients see it: the same code, text and details, in the form of
 * their protocol.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { Code as ConnectCode, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { Code, type Status } from '../../rpc/status.ts';

const DETAILS_HEADER = 'grpc-status-details-bin';

/** `details` of `google.rpc.Status`. */
const DETAILS_FIELD = 3;

type Detail = ConnectError['details'][number];

/** The error that makes Connect answer a call with this status. */
export function connectError(status: Status, context: HandlerContext): ConnectError {
  const grpcWeb = context.protocolName === 'grpc-web';
  const error = new ConnectError(status.message.toWellFormed(), codeFor(status.code, grpcWeb));
  if (status.details === undefined) return error;
  // gRPC-Web carries the very bytes; set as a trailer of the call they are not encoded anew.
  if (grpcWeb) context.responseTrailer.set(DETAILS_HEADER, status.details);
  else error.details = detailsOf(status.details);
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

/** The details in the base64 of a `google.rpc.Status`; none when the bytes are something else. */
function detailsOf(base64: string): Detail[] {
  const details: Detail[] = [];
  const reader = new BinaryReader(Buffer.from(base64, 'base64'));
  try {
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === DETAILS_FIELD && wireType === WireType.LengthDelimited) {
        const { typeUrl, value } = fromBinary(AnySchema, reader.bytes());
        details.push({ type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), value });
      } else reader.skip(wireType, field);
    }
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
  return details;
}
