/**
 * Buffers in which small frames are collected, shared by all connections of the process: an idle
 * connection holds none, a busy one gets one that is still warm in the processor's cache.
 */

/** Octets of a slab. */
export const SLAB_SIZE = 16_384;
/** Slabs kept for reuse; more are left to the garbage collector. */
const MAX_FREE = 1024;

const free: Buffer[] = [];

/** A slab of {@link SLAB_SIZE} octets with any content. */
export function takeSlab(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(SLAB_SIZE);
}

/** Gives a slab back; nobody may refer to it any more. */
export function freeSlab(slab: Buffer): void {
  if (free.length < MAX_FREE) free.push(slab);
}
