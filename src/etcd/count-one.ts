/** The lightest linearizable read: who answers it has caught up with the cluster. */

/** `RangeRequest{key: "\0", count_only: true}`. */
export const COUNT_ONE: Uint8Array = Buffer.of(0x0a, 1, 0, 0x48, 1);
