/** The lease that a message names, and the same message with another one. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { numberIn, StrictFields } from './strict-fields.ts';

/** The lease that a message names itself; zero: none. @throws RpcError as {@link numberIn} does */
export function leaseIn(message: Uint8Array, tag: number): bigint {
  return numberIn(message, tag);
}

/** A message that names this lease, whatever it named before. @throws RpcError for bytes that are no message */
export function withLease(message: Uint8Array, tag: number, lease: bigint): Uint8Array {
  const field = new BinaryWriter().uint32(tag).int64(lease).finish();
  return Buffer.concat([...without(message, tag), field]);
}

/** The pieces of a message without the fields of a tag. */
function without(message: Uint8Array, tag: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let kept = 0;
  const fields = new StrictFields(message);
  while (fields.next()) {
    if (fields.tag !== tag) continue;
    parts.push(message.subarray(kept, fields.start));
    kept = fields.to;
  }
  parts.push(message.subarray(kept));
  return parts;
}
