/**
 * For so long etcd's word that a client may read a range counts, from when it was asked. Milliseconds. Nothing from memory
 * is served to a client that etcd allowed it to longer ago.
 */
export const PERMISSION_MS = 1000;
