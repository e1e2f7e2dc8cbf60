/**
 * A WatchResponse of etcd, read in place: the few fields that decide what becomes of it, and where its events lie.
 * Events themselves stay the bytes that etcd sent.
 */
import { HEADER_TAG, type Header, NO_HEADER, readHeader } from './header.ts';
import { KeyValueTag, KVS_TAG } from './range-response.ts';
import { MalformedMessage, Scanner } from './scanner.ts';

/** Field tags of the messages, with their wire types. */
export const Tag = {
  watchId: 0x10,
  created: 0x18,
  canceled: 0x20,
  compactRevision: 0x28,
  cancelReason: 0x32,
  fragment: 0x38,
  events: 0x5a,
  eventType: 0x08,
  eventKv: KVS_TAG,
  eventPrevKv: 0x1a,
} as const;

/** One event of a response: what it is about and where its bytes are. Offsets are into {@link source}. */
export interface EventRecord {
  readonly source: Buffer;
  /** The field with its tag and length. */
  readonly start: number;
  readonly end: number;
  /** The field `prev_kv` within; equal when there is none. */
  readonly prevStart: number;
  readonly prevEnd: number;
  readonly key: string;
  readonly revision: number;
  readonly isDelete: boolean;
}

/** A response of etcd to a watch. */
export interface WatchResponse {
  readonly header: Header;
  readonly watchId: number;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: number;
  readonly cancelReason: string;
  /** More of it follows. */
  readonly fragment: boolean;
  readonly events: readonly EventRecord[];
  /** Encoded length; of one that was put together of several, that of its events. */
  readonly size: number;
}

/** Reads a response. @throws MalformedMessage */
export function readResponse(message: Uint8Array): ResponseFields {
  const response = new ResponseFields();
  response.read(message);
  return response;
}

/** A response as far as its fields have been read. */
export class ResponseFields implements WatchResponse {
  header = NO_HEADER;
  watchId = 0;
  created = false;
  canceled = false;
  compactRevision = 0;
  cancelReason = '';
  fragment = false;
  events: EventRecord[] = [];
  size = 0;

  /** Reads some more of them, each of them whole. @throws MalformedMessage */
  read(fields: Uint8Array): void {
    const scan = new Scanner(fields);
    this.size += fields.length;
    while (!scan.done) {
      const start = scan.pos;
      const tag = scan.varint();
      if (tag === Tag.events) {
        const end = scan.delimited();
        this.events.push(readEvent(scan, start, end));
      } else if (tag === HEADER_TAG) {
        const end = scan.delimited();
        this.header = readHeader(scan.bytes.subarray(scan.pos, end));
        scan.pos = end;
      } else if (tag === Tag.watchId) this.watchId = scan.int64();
      else if (tag === Tag.created) this.created = scan.varint() !== 0;
      else if (tag === Tag.canceled) this.canceled = scan.varint() !== 0;
      else if (tag === Tag.fragment) this.fragment = scan.varint() !== 0;
      else if (tag === Tag.compactRevision) this.compactRevision = scan.int64();
      else if (tag === Tag.cancelReason) {
        const end = scan.delimited();
        this.cancelReason = scan.bytes.toString('utf8', scan.pos, end);
        scan.pos = end;
      } else scan.skip(tag & 7);
    }
  }
}

/** Reads the event whose field began at `start` and whose body lies between the scanner and `end`. */
function readEvent(scan: Scanner, start: number, end: number): EventRecord {
  let prevStart = end;
  let prevEnd = end;
  let isDelete = false;
  let key = '';
  let revision = 0;
  while (scan.pos < end) {
    const from = scan.pos;
    const tag = scan.varint();
    if (tag === Tag.eventKv) {
      const kvEnd = scan.delimited();
      while (scan.pos < kvEnd) {
        const kvTag = scan.varint();
        if (kvTag === KeyValueTag.key) {
          const keyEnd = scan.delimited();
          key = scan.bytes.toString('latin1', scan.pos, keyEnd);
          scan.pos = keyEnd;
        } else if (kvTag === KeyValueTag.modRevision) revision = scan.int64();
        else scan.skip(kvTag & 7);
      }
    } else if (tag === Tag.eventPrevKv) {
      prevStart = from;
      prevEnd = scan.delimited();
      scan.pos = prevEnd;
    } else if (tag === Tag.eventType) isDelete = scan.varint() === 1;
    else scan.skip(tag & 7);
  }
  return { source: scan.bytes, start, end, prevStart, prevEnd, key, revision, isDelete };
}

/** Whether a response says that its watch is over. What is none says nothing. */
export function isCanceled(message: Uint8Array): boolean {
  const scan = new Scanner(message);
  try {
    while (!scan.done) {
      const tag = scan.varint();
      if (tag === Tag.canceled) return scan.varint() !== 0;
      scan.skip(tag & 7);
    }
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
  }
  return false;
}

/** Whether a response refuses a watch that was asked for. What is none says nothing. */
export function isRefusedCreate(message: Uint8Array): boolean {
  const scan = new Scanner(message);
  let created = false;
  let canceled = false;
  try {
    while (!scan.done) {
      const tag = scan.varint();
      if (tag === Tag.created) created = scan.varint() !== 0;
      else if (tag === Tag.canceled) canceled = scan.varint() !== 0;
      else scan.skip(tag & 7);
    }
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    return false;
  }
  return created && canceled;
}
