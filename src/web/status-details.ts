/** The details of a status, which travel in the base64 of a `google.rpc.Status`. */
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';

/** `details` of `google.rpc.Status`. */
const DETAILS_FIELD = 3;

/** The details; none when the bytes are something else. */
export function detailsOf(base64: string): Any[] {
  const details: Any[] = [];
  const reader = new BinaryReader(Buffer.from(base64, 'base64'));
  try {
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === DETAILS_FIELD && wireType === WireType.LengthDelimited)
        details.push(fromBinary(AnySchema, reader.bytes()));
      else reader.skip(wireType, field);
    }
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
  return details;
}
