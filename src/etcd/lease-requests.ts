/** Requests about leases of the proxy's own, and what is read of their replies. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { LeaseTag } from './lease-tags.ts';
import { Scanner } from './scanner.ts';

/** `TTL` of `LeaseGrantRequest`. */
const GRANT_TTL_TAG = 0x08;
/** `PutRequest`. */
const Put = { key: 0x0a, value: 0x12, lease: 0x18 } as const;
/** `TTL` of `LeaseGrantResponse` and of `LeaseKeepAliveResponse`. */
const TTL_TAG = 0x18;

/** How long the lease lives that etcd grants to a lock or campaign which names none, in seconds. */
const SESSION_TTL = 60;

/** Asks for such a lease, with whatever id. */
export const SESSION_GRANT: Uint8Array = new BinaryWriter().uint32(GRANT_TTL_TAG).int64(SESSION_TTL).finish();

/** Asks for a lease with this id. @param ttl in seconds */
export function grantRequest(id: bigint, ttl: number): Uint8Array {
  return new BinaryWriter().uint32(GRANT_TTL_TAG).int64(ttl).uint32(LeaseTag.grant).int64(id).finish();
}

/** Asks to revoke a lease, or is a heartbeat of it. */
export function leaseRequest(id: bigint): Uint8Array {
  return new BinaryWriter().uint32(LeaseTag.ofLease).int64(id).finish();
}

/** Asks to put a key that goes with a lease. */
export function leasedPutRequest(key: Uint8Array, value: Uint8Array, id: bigint): Uint8Array {
  const writer = new BinaryWriter().uint32(Put.key).bytes(key).uint32(Put.value).bytes(value);
  return writer.uint32(Put.lease).int64(id).finish();
}

/**
 * How long the lease lives that was granted or kept alive, in seconds. Zero in the answer to a heartbeat: there is no such
 * lease.
 * @throws MalformedMessage
 */
export function ttlIn(reply: Uint8Array): number {
  const scan = new Scanner(reply);
  let ttl = 0;
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === TTL_TAG) ttl = scan.int64();
    else scan.skip(tag & 7);
  }
  return ttl;
}
