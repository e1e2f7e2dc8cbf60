/**
 * The long keys of all watches, and of all requests for one that wait. They have to be in memory while the watch is
 * there, as they are in etcd; how long keys are and how many watches there are is for clients to choose.
 */
import type { KeyRange } from '../etcd/key-range.ts';

/** Shorter ranges do not count: they cost no more than the watch itself. Bytes. */
const LONG_BYTES = 1024;

/** All of them together. */
const MAX_BYTES = 64 << 20;

export class LongKeys {
  bytes = 0;

  /** Makes room for a range. @returns whether there was room */
  take({ bytes }: KeyRange): boolean {
    if (bytes <= LONG_BYTES) return true;
    if (this.bytes + bytes > MAX_BYTES) return false;
    this.bytes += bytes;
    return true;
  }

  /** Gives room back that was taken for a range, or for an equal one. */
  release({ bytes }: KeyRange): void {
    if (bytes > LONG_BYTES) this.bytes -= bytes;
  }
}
