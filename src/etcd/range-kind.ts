/**
 * RangeRequests as far as a cache has to know them: which keys, and whether the answer is the present state of some
 * member. All other options are part of the bytes that make two requests the same: the answer to the same bytes follows
 * from the keys of the range.
 */
import { KeyRange } from './key-range.ts';
import { latin1 } from './latin1.ts';
import { Odd, RangeScan } from './range-request.ts';

/** What a request asks for, as far as it matters here. */
export const Kind = {
  /** A linearizable read, or bytes that are no request. */
  other: 0,
  /** A serializable read that is not remembered: at a revision, or one of which nobody here knows what it asks for. */
  unfit: 1,
  /** A serializable read of the present state. */
  present: 2,
} as const;
/** A number of {@link Kind}. */
export type Kind = (typeof Kind)[keyof typeof Kind];

/** What a request asks for follows from something that is not known here. */
const UNKNOWN = Odd.unknown | Odd.emptyEnd;

/** For all requests. */
const scan = new RangeScan();

/** What a request asks for. Makes nothing, and takes what is written unusually for `other`. */
export function kindOf(request: Uint8Array): Kind {
  if (!scan.read(request) || !scan.serializable || (scan.odd & Odd.unusual) !== 0) return Kind.other;
  return scan.revision === 0 && (scan.odd & UNKNOWN) === 0 ? Kind.present : Kind.unfit;
}

/** The keys that a request is about, or `undefined` for a range that has no key in it and that etcd does not watch. */
export function rangeOf(request: Uint8Array): KeyRange | undefined {
  if (!scan.read(request) || scan.keyLength <= 0) return undefined;
  const { keyAt, keyLength, rangeEndAt, rangeEndLength } = scan;
  const range = new KeyRange(
    latin1(request, keyAt, keyAt + keyLength),
    rangeEndLength > 0 ? latin1(request, rangeEndAt, rangeEndAt + rangeEndLength) : '',
  );
  return range.empty ? undefined : range;
}
