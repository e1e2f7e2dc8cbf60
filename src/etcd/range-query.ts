/**
 * A RangeRequest as a mirror understands it. What it does not understand to the last bit is left to etcd: fields of a
 * newer release, values out of place, a field that comes twice, ranges that etcd refuses.
 */
import { MalformedMessage, Scanner } from './scanner.ts';

/** `RangeRequest.SortOrder`. */
export const Order = { none: 0, ascend: 1, descend: 2 } as const;
/** `RangeRequest.SortTarget`. */
export const Target = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;

/** Numbers of the fields of `RangeRequest`. */
const Field = {
  key: 1,
  rangeEnd: 2,
  limit: 3,
  revision: 4,
  sortOrder: 5,
  sortTarget: 6,
  serializable: 7,
  keysOnly: 8,
  countOnly: 9,
  minMod: 10,
  maxMod: 11,
  minCreate: 12,
  maxCreate: 13,
} as const;

/** No number in a request has more octets, unless it is negative or written in a way nobody writes it. */
const MAX_VARINT = 9;

/** Above every key: no byte is larger than 255. */
const NO_END = '\u0100';

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

  /** Whether it is for one key. */
  get exact(): boolean {
    return this.rangeEnd === '';
  }

  /** Whether some keys of the range may be left out. */
  get filtered(): boolean {
    return this.minMod !== 0 || this.maxMod !== 0 || this.minCreate !== 0 || this.maxCreate !== 0;
  }

  /** Whether the order is another than that of the keys. */
  get sorted(): boolean {
    return this.target !== Target.key || this.order === Order.descend;
  }
}

/** Reads a request; `undefined`: etcd has to be asked. */
export function readRangeQuery(request: Uint8Array): RangeQuery | undefined {
  const scan = new Scanner(request);
  try {
    return read(scan);
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}

/** Reads a request that lies between the scanner's position and its end. @throws MalformedMessage */
export function read(scan: Scanner): RangeQuery | undefined {
  const query = new RangeQuery();
  let seen = 0;
  while (!scan.done) {
    const tag = scan.varint();
    const field = tag >>> 3;
    const bit = 1 << field;
    if (field > Field.maxCreate || (seen & bit) !== 0) return undefined;
    seen |= bit;
    if (tag === 0x0a || tag === 0x12) {
      const end = scan.delimited();
      // An empty `range_end` that is written out is not the same as none.
      if (end === scan.pos) return undefined;
      const text = scan.bytes.toString('latin1', scan.pos, end);
      scan.pos = end;
      if (field === Field.key) query.start = text;
      else query.rangeEnd = text;
    } else {
      if ((tag & 7) !== 0 || field < Field.limit) return undefined;
      const from = scan.pos;
      const value = scan.varint();
      if (scan.pos - from > MAX_VARINT || !set(query, field, value)) return undefined;
    }
  }
  if (query.rangeEnd === '') query.end = `${query.start}\0`;
  else query.end = query.rangeEnd === '\0' ? NO_END : query.rangeEnd;
  return query.start !== '' && query.start < query.end ? query : undefined;
}

/** Sets a number; `false` for a value that etcd would refuse or not know. */
function set(query: RangeQuery, field: number, value: number): boolean {
  if (field === Field.limit) query.limit = value;
  else if (field === Field.revision) query.revision = value;
  else if (field === Field.sortOrder) {
    query.order = value;
    return value <= Order.descend;
  } else if (field === Field.sortTarget) {
    query.target = value;
    return value <= Target.value;
  } else if (field === Field.serializable) query.serializable = value !== 0;
  else if (field === Field.keysOnly) query.keysOnly = value !== 0;
  else if (field === Field.countOnly) query.countOnly = value !== 0;
  else if (field === Field.minMod) query.minMod = value;
  else if (field === Field.maxMod) query.maxMod = value;
  else if (field === Field.minCreate) query.minCreate = value;
  else query.maxCreate = value;
  return true;
}
