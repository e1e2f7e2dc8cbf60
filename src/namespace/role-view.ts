/** What a permission means within a namespace: what it allows there, as the client would have written it. */
import type { PermittedRange } from '../etcd/role-permissions.ts';
import type { Prefix } from './prefix.ts';

const NO_END = Buffer.of(0);

/** The range within, or `undefined` where it allows nothing there. */
export function rangeWithin({ key, rangeEnd }: PermittedRange, prefix: Prefix): PermittedRange | undefined {
  const within = (text: Uint8Array): Uint8Array | undefined =>
    text.length > prefix.bytes.length && prefix.begins(text, 0, text.length)
      ? text.subarray(prefix.bytes.length)
      : undefined;
  // An empty key, which etcd took until 3.4, is the same everywhere, and allows nothing.
  const first = key.length === 0 ? key : within(key);
  if (rangeEnd.length === 0) return first === undefined ? undefined : { key: first, rangeEnd };
  const last = Buffer.compare(rangeEnd, prefix.end) === 0 ? NO_END : within(rangeEnd);
  // One that was granted within is shown as it was, be it without a key in it.
  if (first !== undefined && last !== undefined) return { key: first, rangeEnd: last };
  return key.length === 0 ? undefined : partWithin(key, rangeEnd, prefix);
}

/** The part within of a range that reaches out. */
function partWithin(key: Uint8Array, rangeEnd: Uint8Array, prefix: Prefix): PermittedRange | undefined {
  const start = Buffer.compare(key, prefix.least) < 0 ? prefix.least : key;
  const reachesEnd = isNoEnd(rangeEnd) || (!isNoEnd(prefix.end) && Buffer.compare(rangeEnd, prefix.end) >= 0);
  const end = reachesEnd ? prefix.end : rangeEnd;
  if (!isNoEnd(end) && Buffer.compare(start, end) >= 0) return undefined;
  if (!prefix.begins(start, 0, start.length)) return undefined;
  const cut = (text: Uint8Array): Uint8Array => text.subarray(prefix.bytes.length);
  return { key: cut(start), rangeEnd: reachesEnd ? NO_END : cut(end) };
}

function isNoEnd(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}
