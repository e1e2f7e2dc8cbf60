/** Where messages about one lease name it, and the same messages with another one. Puts and leaders are in `key-fields.ts`. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { numberIn, StrictFields } from './strict-fields.ts';

/** The tags of the field that is the lease, by message. */
export const LeaseTag = {
  /** `LeaseGrantRequest`. */
  grant: 0x10,
  /** Any other request about one lease. */
  ofLease: 0x08,
  /** A reply about one lease. */
  reply: 0x10,
  /** `LockRequest` and `CampaignRequest`. */
  session: 0x10,
} as const;

/** `LeaseLeasesResponse.leases`. */
const LEASES = 0x12;

/** The lease that a message names itself; zero: none. @throws RpcError as {@link numberIn} does */
export function leaseIn(message: Uint8Array, tag: number): bigint {
  return numberIn(message, tag);
}

/** A message that names this lease, whatever it named before. @throws RpcError for bytes that are no message */
export function withLease(message: Uint8Array, tag: number, lease: bigint): Uint8Array {
  const field = new BinaryWriter().uint32(tag).int64(lease).finish();
  return Buffer.concat([...without(message, (fields) => fields.tag === tag), field]);
}

/** A `LeaseLeasesResponse` with those leases that are wanted. @throws RpcError for bytes that are no message */
export function selectLeases(reply: Uint8Array, wanted: (lease: bigint) => boolean): Uint8Array {
  return Buffer.concat(without(reply, (fields) => fields.tag === LEASES && !wanted(leaseAt(fields.inner()))));
}

/** The pieces of a message without some of its fields. */
function without(message: Uint8Array, unwanted: (fields: StrictFields) => boolean): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let kept = 0;
  const fields = new StrictFields(message);
  while (fields.next()) {
    if (!unwanted(fields)) continue;
    parts.push(message.subarray(kept, fields.start));
    kept = fields.to;
  }
  parts.push(message.subarray(kept));
  return parts;
}

/** The lease of a `LeaseStatus`. */
function leaseAt(fields: StrictFields): bigint {
  let id = 0n;
  while (fields.next()) if (fields.tag === LeaseTag.ofLease) id = fields.int64();
  return id;
}
