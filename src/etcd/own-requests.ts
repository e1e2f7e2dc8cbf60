/** The reads by which a mirror finds out what its feed cannot tell, encoded. They count keys, so that none travels. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { KeyRange } from './key-range.ts';

/**
 * A linearizable count of one key: its header has the store's revision. The key is of the range, since the proxy's user
 * need not be allowed to read any other.
 */
export function revisionRequest({ start }: KeyRange): Uint8Array {
  return countOf(start, '');
}

/** A linearizable count of a range: etcd refuses it to whom it would refuse a watch of the range. */
export function permissionRequest({ start, rangeEnd }: KeyRange): Uint8Array {
  return countOf(start, rangeEnd);
}

function countOf(key: string, rangeEnd: string): Uint8Array {
  const writer = new BinaryWriter().uint32(0x0a).bytes(Buffer.from(key, 'latin1'));
  if (rangeEnd !== '') writer.uint32(0x12).bytes(Buffer.from(rangeEnd, 'latin1'));
  return writer.uint32(0x48).bool(true).finish();
}
