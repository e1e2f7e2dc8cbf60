/**
 * For so long etcd's word that a client may read a range counts, from when it was asked. Milliseconds. A read that comes
 * later is not answered from memory; one that a mirror lets wait may be answered later.
 */
export const PERMISSION_MS = 1000;
