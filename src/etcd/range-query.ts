/**
 * A RangeRequest as a mirror understands it. What it does not understand to the last bit is left to etcd: fields of a
 * newer release, values out of place, a field that comes twice, ranges that etcd refuses.
 */
import { endOf } from './key-range.ts';
import { latin1 } from './latin1.ts';
import { Odd, RangeScan, SortOrder, SortTarget } from './range-request.ts';

const NOT_UNDERSTOOD = Odd.unknown | Odd.repeated | Odd.longNumber | Odd.emptyEnd;

/** For all requests. */
const scan = new RangeScan();

export class RangeQuery {
  /** The first key, latin1. */
  start = '';
  /** The first key behind the range, latin1. */
  end = '';
  /** `range_end` as it was sent. */
  rangeEnd = '';
  limit = 0;
  revision = 0;
  order = 0;
  target = 0;
  serializable = false;
  keysOnly = false;
  countOnly = false;
  minMod = 0;
  maxMod = 0;
  minCreate = 0;
  maxCreate = 0;

  /** Whether it names a key, and no end of a range. */
  get namesOneKey(): boolean {
    return this.rangeEnd === '';
  }

  /** Whether some keys of the range may be left out. */
  get filtered(): boolean {
    return this.minMod !== 0 || this.maxMod !== 0 || this.minCreate !== 0 || this.maxCreate !== 0;
  }

  /** Whether the order is another than that of the keys. */
  get sorted(): boolean {
    return this.target !== SortTarget.key || this.order === SortOrder.descend;
  }
}

/** Reads a request; `undefined`: etcd has to be asked. */
export function readRangeQuery(request: Uint8Array): RangeQuery | undefined {
  return readRange(request, 0, request.length);
}

/** Reads the request that lies in `bytes` from `start` to `end`. */
export function readRange(bytes: Uint8Array, start: number, end: number): RangeQuery | undefined {
  if (!scan.read(bytes, start, end)) return undefined;
  if ((scan.odd & NOT_UNDERSTOOD) !== 0) return undefined;
  const { keyAt, keyLength, rangeEndAt, rangeEndLength, order, target } = scan;
  if (keyLength <= 0) return undefined;
  // Values that etcd would refuse or not know.
  if (order > SortOrder.descend || target > SortTarget.value) return undefined;
  const query = new RangeQuery();
  query.start = latin1(bytes, keyAt, keyAt + keyLength);
  if (rangeEndLength > 0) query.rangeEnd = latin1(bytes, rangeEndAt, rangeEndAt + rangeEndLength);
  query.end = endOf(query.start, query.rangeEnd);
  query.limit = scan.limit;
  query.revision = scan.revision;
  query.order = order;
  query.target = target;
  query.serializable = scan.serializable;
  query.keysOnly = scan.keysOnly;
  query.countOnly = scan.countOnly;
  query.minMod = scan.minMod;
  query.maxMod = scan.maxMod;
  query.minCreate = scan.minCreate;
  query.maxCreate = scan.maxCreate;
  return query.start < query.end ? query : undefined;
}
