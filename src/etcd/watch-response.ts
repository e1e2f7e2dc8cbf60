/**
 * A WatchResponse of etcd, read in place: the few fields that decide what becomes of it, and where its events lie.
 * Events themselves stay the bytes that etcd sent.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Scanner } from './scanner.ts';

/** Field tags of the messages, with their wire types. */
const Tag = {
  header: 0x0a,
  watchId: 0x10,
  created: 0x18,
  canceled: 0x20,
  compactRevision: 0x28,
  cancelReason: 0x32,
  fragment: 0x38,
  events: 0x5a,
  eventType: 0x08,
  eventKv: 0x12,
  eventPrevKv: 0x1a,
  kvKey: 0x0a,
  kvModRevision: 0x18,
  headerCluster: 0x08,
  headerMember: 0x10,
  headerRevision: 0x18,
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

/** The header of a response. */
export interface Header {
  /** The encoded message. */
  readonly bytes: Uint8Array;
  readonly revision: number;
  /** Which cluster answered; exact enough to tell clusters apart. */
  readonly cluster: string;
  /** Which member answered; exact enough to tell members apart. */
  readonly member: string;
}

/** A header that says nothing. */
export const NO_HEADER: Header = { bytes: new Uint8Array(0), revision: 0, cluster: '', member: '' };

/** A response of etcd to a watch. */
export interface WatchResponse {
  readonly header: Header;
  readonly watchId: number;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: number;
  readonly cancelReason: string;
  readonly fragment: boolean;
  readonly events: readonly EventRecord[];
  /** Encoded length. */
  readonly size: number;
}

/** Reads a response. @throws MalformedMessage */
export function readResponse(message: Uint8Array): WatchResponse {
  const scan = new Scanner(message);
  const events: EventRecord[] = [];
  let header = NO_HEADER;
  let watchId = 0;
  let compactRevision = 0;
  let cancelReason = '';
  let flags = 0;
  while (!scan.done) {
    const start = scan.pos;
    const tag = scan.varint();
    if (tag === Tag.events) {
      const end = scan.delimited();
      events.push(readEvent(scan, start, end));
    } else if (tag === Tag.header) {
      const end = scan.delimited();
      header = readHeader(scan.bytes.subarray(scan.pos, end));
      scan.pos = end;
    } else if (tag === Tag.watchId) watchId = scan.int64();
    else if (tag === Tag.created) flags |= scan.varint() === 0 ? 0 : 1;
    else if (tag === Tag.canceled) flags |= scan.varint() === 0 ? 0 : 2;
    else if (tag === Tag.fragment) flags |= scan.varint() === 0 ? 0 : 4;
    else if (tag === Tag.compactRevision) compactRevision = scan.int64();
    else if (tag === Tag.cancelReason) {
      const end = scan.delimited();
      cancelReason = scan.bytes.toString('utf8', scan.pos, end);
      scan.pos = end;
    } else scan.skip(tag & 7);
  }
  return {
    header,
    watchId,
    created: (flags & 1) !== 0,
    canceled: (flags & 2) !== 0,
    fragment: (flags & 4) !== 0,
    compactRevision,
    cancelReason,
    events,
    size: message.length,
  };
}

/** Reads an encoded ResponseHeader. */
export function readHeader(bytes: Uint8Array): Header {
  const scan = new Scanner(bytes);
  let revision = 0;
  let cluster = '';
  let member = '';
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === Tag.headerRevision) revision = scan.int64();
    else if (tag === Tag.headerMember) member = scan.rawVarint();
    else if (tag === Tag.headerCluster) cluster = scan.rawVarint();
    else scan.skip(tag & 7);
  }
  return { bytes: Uint8Array.prototype.slice.call(bytes), revision, cluster, member };
}

/** The header of any response of etcd: all have it as their first field. */
export function headerOf(message: Uint8Array): Header {
  const scan = new Scanner(message);
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === Tag.header) {
      const end = scan.delimited();
      return readHeader(scan.bytes.subarray(scan.pos, end));
    }
    scan.skip(tag & 7);
  }
  return NO_HEADER;
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
        if (kvTag === Tag.kvKey) {
          const keyEnd = scan.delimited();
          key = scan.bytes.toString('latin1', scan.pos, keyEnd);
          scan.pos = keyEnd;
        } else if (kvTag === Tag.kvModRevision) revision = scan.int64();
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

/** The same header with another revision. */
export function withRevision(header: Header, revision: number): Header {
  if (header.revision === revision) return header;
  const scan = new Scanner(header.bytes);
  const writer = new BinaryWriter();
  while (!scan.done) {
    const start = scan.pos;
    const tag = scan.varint();
    scan.skip(tag & 7);
    if (tag !== REVISION_TAG) writer.raw(header.bytes.subarray(start, scan.pos));
  }
  if (revision !== 0) writer.uint32(REVISION_TAG).int64(revision);
  return readHeader(writer.finish());
}

/** `ResponseHeader.revision`. */
const REVISION_TAG = 0x18;
