/** RangeRequests: the one reader, in place, and the one writer. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { MOST_FIELDS } from './bounded-fields.ts';

/** Numbers of the fields of `RangeRequest`. The first two are texts, the others numbers. */
export const RangeField = {
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

/** `RangeRequest.SortOrder`. */
export const SortOrder = { none: 0, ascend: 1, descend: 2 } as const;
/** `RangeRequest.SortTarget`. */
export const SortTarget = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;

/** What the proxy asks for itself. Texts are latin1. */
export interface RangeRequest {
  readonly key: string;
  /** Empty: just the key. */
  readonly rangeEnd?: string;
  readonly limit?: number;
  /** Zero: the present. */
  readonly revision?: number;
  readonly serializable?: boolean;
  readonly countOnly?: boolean;
}

/** Encodes a request. */
export function rangeRequest(request: RangeRequest): Uint8Array {
  const { key, rangeEnd = '', limit = 0, revision = 0, serializable = false, countOnly = false } = request;
  const writer = new BinaryWriter();
  writer.tag(RangeField.key, WireType.LengthDelimited).bytes(Buffer.from(key, 'latin1'));
  if (rangeEnd !== '')
    writer.tag(RangeField.rangeEnd, WireType.LengthDelimited).bytes(Buffer.from(rangeEnd, 'latin1'));
  if (limit !== 0) writer.tag(RangeField.limit, WireType.Varint).int64(limit);
  if (revision !== 0) writer.tag(RangeField.revision, WireType.Varint).int64(revision);
  if (serializable) writer.tag(RangeField.serializable, WireType.Varint).bool(true);
  if (countOnly) writer.tag(RangeField.countOnly, WireType.Varint).bool(true);
  return writer.finish();
}

/** What is odd about a request, a bit each; those who read it decide what that means. */
export const Odd = {
  /** A field that is not known here. */
  unknown: 1,
  /** A field that comes twice; the last one counts. */
  repeated: 2,
  /** A number of more octets than usual: it is negative, or padded. */
  longNumber: 4,
  /** A text of 16 KiB and more, or `serializable` in more than one octet. */
  unusual: 8,
  /** An empty `range_end` that is written out: no end to some releases of etcd, and none at all to others. */
  emptyEnd: 16,
} as const;

/** Tags of the two texts; those of all numbers that are known are above, and have one octet. */
const KEY_TAG = (RangeField.key << 3) | WireType.LengthDelimited;
const RANGE_END_TAG = (RangeField.rangeEnd << 3) | WireType.LengthDelimited;

/** Larger tags are to etcd the fields that their lower 35 bits name. */
const TAG_LIMIT = 2 ** 32;

/** A byte of a varint with this bit is followed by another. */
const CONTINUED = 0x80;
/** Varints have at most this many octets, usual numbers one less, and lengths of usual texts two. */
const MAX_OCTETS = 10;
const USUAL_LENGTH_OCTETS = 2;

/**
 * What is in a request, without a copy of anything. One object reads one request after another, since every read of a
 * client passes here and nothing shall be made for it. Numbers are exact up to 2^53, and zero where they are not there.
 */
export class RangeScan {
  /** Bits of {@link Odd}. */
  odd = 0;
  /** Where the texts begin, and their lengths; a negative one: the field is not there. */
  keyAt = 0;
  keyLength = 0;
  rangeEndAt = 0;
  rangeEndLength = 0;
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
  /** Where a varint of several octets ended. */
  #at = 0;

  /**
   * Reads the request that lies in `bytes` from `start` to `end`.
   * @returns `false` for bytes that are none, and for more than MOST_FIELDS fields
   */
  read(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
    this.#clear();
    let at = start;
    let seen = 0;
    let odd = 0;
    for (let left = MOST_FIELDS; at < end; left--) {
      if (left === 0) return false;
      let tag = bytes[at++] as number;
      if (tag >= CONTINUED) {
        tag = this.#varint(bytes, at - 1, end);
        if (tag >= TAG_LIMIT) return false;
        at = this.#at;
      }
      const field = tag >>> 3;
      const isText = tag === KEY_TAG || tag === RANGE_END_TAG;
      if (at >= end) return false;
      let value = bytes[at++] as number;
      if (value >= CONTINUED) {
        const from = at - 1;
        value = this.#varint(bytes, from, end);
        at = this.#at;
        odd |= oddLength(field, isText, at - from);
      }
      if (isText) {
        this.#setText(field, at, value);
        at += value;
      } else if ((tag & 7) !== WireType.Varint) return false;
      else if (field < RangeField.limit || field > RangeField.maxCreate) {
        odd |= Odd.unknown;
        continue;
      } else this.#setNumber(field, value);
      const bit = 1 << field;
      if ((seen & bit) !== 0) odd |= Odd.repeated;
      seen |= bit;
    }
    this.odd = this.rangeEndLength === 0 ? odd | Odd.emptyEnd : odd;
    return at === end;
  }

  #clear(): void {
    this.keyLength = -1;
    this.rangeEndLength = -1;
    this.limit = 0;
    this.revision = 0;
    this.order = 0;
    this.target = 0;
    this.serializable = false;
    this.keysOnly = false;
    this.countOnly = false;
    this.minMod = 0;
    this.maxMod = 0;
    this.minCreate = 0;
    this.maxCreate = 0;
  }

  #setText(field: number, at: number, length: number): void {
    if (field === RangeField.key) {
      this.keyAt = at;
      this.keyLength = length;
    } else {
      this.rangeEndAt = at;
      this.rangeEndLength = length;
    }
  }

  #setNumber(field: number, value: number): void {
    if (field === RangeField.serializable) this.serializable = value !== 0;
    else if (field === RangeField.limit) this.limit = value;
    else if (field === RangeField.revision) this.revision = value;
    else if (field === RangeField.sortOrder) this.order = value;
    else if (field === RangeField.sortTarget) this.target = value;
    else if (field === RangeField.keysOnly) this.keysOnly = value !== 0;
    else if (field === RangeField.countOnly) this.countOnly = value !== 0;
    else if (field === RangeField.minMod) this.minMod = value;
    else if (field === RangeField.maxMod) this.maxMod = value;
    else if (field === RangeField.minCreate) this.minCreate = value;
    else this.maxCreate = value;
  }

  /** A varint; of one that is cut off or too long, the end is behind the request's. */
  #varint(bytes: Uint8Array, from: number, end: number): number {
    let at = from;
    let value = 0;
    for (let scale = 1; at < end && at - from < MAX_OCTETS; scale *= CONTINUED) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < CONTINUED) {
        this.#at = at;
        return value;
      }
    }
    this.#at = end + 1;
    return value;
  }
}

/** What is odd about a varint of several octets. */
function oddLength(field: number, isText: boolean, octets: number): number {
  if (isText) return octets > USUAL_LENGTH_OCTETS ? Odd.unusual : 0;
  return (field === RangeField.serializable ? Odd.unusual : 0) | (octets === MAX_OCTETS ? Odd.longNumber : 0);
}
