/**
 * RangeRequests read in place, as far as a cache has to know them. What is read: which keys, and whether the answer is
 * the present state of some member. All other options are part of the bytes that make two requests the same: the
 * answer to the same bytes follows from the keys of the range.
 */
import { KeyRange } from './key-range.ts';

/** What a request asks for, as far as it matters here. */
export const Kind = {
  /** A linearizable read, or bytes that are no request. */
  other: 0,
  /** A serializable read that is not remembered: at a revision, or with fields that nobody here knows. */
  unfit: 1,
  /** A serializable read of the present state. */
  present: 2,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

const KEY = 0x0a;
const RANGE_END = 0x12;
const LIMIT = 0x18;
const REVISION = 0x20;
const SERIALIZABLE = 0x38;
/** The highest known field, `max_create_revision`; those from 3 on are varints. */
const LAST = 0x68;

/** A byte of a varint with this bit is followed by another. */
const CONTINUED = 0x80;

/** What a request asks for. Makes nothing, and takes what is written unusually for `other`. */
export function kindOf(request: Uint8Array): Kind {
  const { length } = request;
  let serializable = false;
  let fit = true;
  let at = 0;
  while (at < length) {
    const tag = request[at++] as number;
    let value = request[at++] as number;
    if (tag === KEY || tag === RANGE_END) {
      if (value >= CONTINUED) {
        const high = request[at++] as number;
        if (high >= CONTINUED) return Kind.other;
        value += (high - 1) * CONTINUED;
      }
      at += value;
    } else if (tag === SERIALIZABLE) {
      if (value >= CONTINUED) return Kind.other;
      serializable = value !== 0;
    } else if ((tag & 7) === 0) {
      if (tag < LIMIT || tag > LAST || (tag === REVISION && value !== 0)) fit = false;
      while (value >= CONTINUED) value = request[at++] as number;
    } else return Kind.other;
  }
  if (at !== length || !serializable) return Kind.other;
  return fit ? Kind.present : Kind.unfit;
}

/** The keys that a request is about, or `undefined` for a range that has no key in it and that etcd does not watch. */
export function rangeOf(request: Uint8Array): KeyRange | undefined {
  const bytes = Buffer.from(request.buffer, request.byteOffset, request.length);
  let key = '';
  let rangeEnd = '';
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at++] as number;
    let value = 0;
    for (let scale = 1; ; scale *= CONTINUED) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < CONTINUED) break;
    }
    if (tag !== KEY && tag !== RANGE_END) continue;
    const text = bytes.toString('latin1', at, at + value);
    if (tag === KEY) key = text;
    else rangeEnd = text;
    at += value;
  }
  if (key === '') return undefined;
  const range = new KeyRange(key, rangeEnd);
  return range.empty ? undefined : range;
}
