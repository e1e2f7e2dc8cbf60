/** WatchRequests: those of clients read, those to etcd written. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { BoundedFields, MOST_FIELDS, TOO_MANY_FIELDS } from './bounded-fields.ts';
import type { KeyRange } from './key-range.ts';
import type { KeyRanges } from './key-ranges.ts';
import { latin1 } from './latin1.ts';

/** Numbers of the fields of `WatchRequest`. */
const Request = { create: 1, cancel: 2, progress: 3 } as const;

/** The tag of a create. */
const CREATE_TAG = (Request.create << 3) | WireType.LengthDelimited;

/** Numbers of the fields of `WatchCreateRequest`. */
const Create = {
  key: 1,
  rangeEnd: 2,
  start: 3,
  progress: 4,
  filters: 5,
  prevKv: 6,
  id: 7,
  fragment: 8,
} as const;

/** `WatchCancelRequest.watch_id`. */
const CANCEL_ID = 1;

/** What a watch asks for. */
export interface WatchOptions {
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly fragment: boolean;
  readonly progressNotify: boolean;
}

/** A client's WatchRequest. */
export type WatchRequest =
  | CreateRequest
  | { readonly kind: 'cancel'; readonly id: bigint }
  | { readonly kind: 'progress' }
  | { readonly kind: 'nothing' };

/** A client's WatchCreateRequest. */
export interface CreateRequest {
  readonly kind: 'create';
  readonly range: KeyRange;
  /** Zero: now. Beyond 2^53 not exact, which no store will ever notice. */
  readonly start: number;
  /** Zero: the server chooses. */
  readonly id: bigint;
  readonly options: WatchOptions;
}

const NO_BYTES = new Uint8Array(0);

/** The encoded request for progress. */
export const PROGRESS_REQUEST: Uint8Array = watchRequest(Request.progress, new Uint8Array(0));

/** Reads a request. @throws on bytes that are no message, and TOO_MANY_FIELDS */
export function readRequest(message: Uint8Array, ranges: KeyRanges): WatchRequest {
  if (isShortCreate(message)) return readCreate(message.subarray(2), ranges);
  const fields = new BoundedFields(message);
  let kind = 0;
  let body: Uint8Array = NO_BYTES;
  // Of several the last one counts, and only that is read.
  while (fields.next()) {
    const { field, wireType } = fields;
    if (wireType !== WireType.LengthDelimited || field < Request.create || field > Request.progress)
      fields.skip();
    else {
      kind = field;
      body = fields.reader.bytes();
    }
  }
  if (kind === Request.create) return readCreate(body, ranges);
  if (kind === Request.cancel) return { kind: 'cancel', id: readId(body) };
  return { kind: kind === Request.progress ? 'progress' : 'nothing' };
}

/** Whether it is one field, a create whose length is one byte, and no more: most are, and nothing has to be made to see that. */
const isShortCreate = (message: Uint8Array): boolean =>
  message[0] === CREATE_TAG && message.length < 0x82 && message[1] === message.length - 2;

function readCreate(message: Uint8Array, ranges: KeyRanges): CreateRequest {
  const fields = new BoundedFields(message);
  const { reader } = fields;
  let key = '';
  let rangeEnd = '';
  let start = 0;
  let id = 0n;
  let flags = 0;
  while (fields.next()) {
    if (fields.is(Create.key, WireType.LengthDelimited)) key = latin1(reader.bytes());
    else if (fields.is(Create.rangeEnd, WireType.LengthDelimited)) rangeEnd = latin1(reader.bytes());
    else if (fields.is(Create.start, WireType.Varint)) start = Number(reader.int64());
    else if (fields.is(Create.progress, WireType.Varint))
      flags = set(flags, WatchFlag.progress, reader.bool());
    else if (fields.field === Create.filters) flags |= readFilters(fields);
    else if (fields.is(Create.prevKv, WireType.Varint)) flags = set(flags, WatchFlag.prevKv, reader.bool());
    else if (fields.is(Create.id, WireType.Varint)) id = BigInt(reader.int64());
    else if (fields.is(Create.fragment, WireType.Varint))
      flags = set(flags, WatchFlag.fragment, reader.bool());
    else fields.skip();
  }
  const range = ranges.of(key, rangeEnd);
  return { kind: 'create', range, start, id, options: OPTIONS[flags] as WatchOptions };
}

const WatchFlag = { noPut: 1, noDelete: 2, progress: 4, prevKv: 8, fragment: 16 } as const;

/** Every combination, by its flags: watches with the same options share the object. */
const OPTIONS: readonly WatchOptions[] = Array.from({ length: 32 }, (_, flags) => ({
  prevKv: (flags & WatchFlag.prevKv) !== 0,
  noPut: (flags & WatchFlag.noPut) !== 0,
  noDelete: (flags & WatchFlag.noDelete) !== 0,
  fragment: (flags & WatchFlag.fragment) !== 0,
  progressNotify: (flags & WatchFlag.progress) !== 0,
}));

const set = (flags: number, flag: number, on: boolean): number => (on ? flags | flag : flags & ~flag);

/** `filters`, packed or not; etcd passes over filters that it does not know. */
function readFilters(fields: BoundedFields): number {
  const { reader, wireType } = fields;
  if (wireType === WireType.Varint) return filterFlag(reader.int32());
  if (wireType !== WireType.LengthDelimited) {
    fields.skip();
    return 0;
  }
  const bytes = reader.bytes();
  if (bytes.length > MOST_FIELDS) throw TOO_MANY_FIELDS;
  const packed = new BinaryReader(bytes);
  let flags = 0;
  while (packed.pos < packed.len) flags |= filterFlag(packed.int32());
  return flags;
}

const filterFlag = (filter: number): number =>
  filter === 0 ? WatchFlag.noPut : filter === 1 ? WatchFlag.noDelete : 0;

function readId(message: Uint8Array): bigint {
  const fields = new BoundedFields(message);
  let id = 0n;
  while (fields.next()) {
    if (fields.is(CANCEL_ID, WireType.Varint)) id = BigInt(fields.reader.int64());
    else fields.skip();
  }
  return id;
}

/** A watch that the proxy asks for itself. */
export interface OwnWatch {
  readonly range: KeyRange;
  /** Zero: now. */
  readonly start: number;
  readonly prevKv: boolean;
  /** Whether etcd may cut long responses. It measures all events of a fragment anew for each one that it adds. */
  readonly fragment: boolean;
}

/**
 * The encoded request for a watch of the proxy's own: progress wanted.
 * @param id its number on a stream that others share; zero leaves that to etcd
 */
export function createRequest({ range, start, prevKv, fragment }: OwnWatch, id = 0): Uint8Array {
  const create = new BinaryWriter();
  create.tag(Create.key, WireType.LengthDelimited).bytes(Buffer.from(range.start, 'latin1'));
  if (range.rangeEnd !== '')
    create.tag(Create.rangeEnd, WireType.LengthDelimited).bytes(Buffer.from(range.rangeEnd, 'latin1'));
  if (start !== 0) create.tag(Create.start, WireType.Varint).int64(BigInt(start));
  create.tag(Create.progress, WireType.Varint).bool(true);
  if (prevKv) create.tag(Create.prevKv, WireType.Varint).bool(true);
  if (id !== 0) create.tag(Create.id, WireType.Varint).int64(BigInt(id));
  if (fragment) create.tag(Create.fragment, WireType.Varint).bool(true);
  return requestToCreate(create.finish());
}

/** The encoded request to cancel the watch of this number. */
export function cancelRequest(id: number): Uint8Array {
  const cancel = new BinaryWriter().tag(CANCEL_ID, WireType.Varint).int64(BigInt(id));
  return watchRequest(Request.cancel, cancel.finish());
}

/** The encoded request for a watch of one key from now on, without options. */
export function simpleCreateRequest(key: Uint8Array): Uint8Array {
  return requestToCreate(new BinaryWriter().tag(Create.key, WireType.LengthDelimited).bytes(key).finish());
}

/** A WatchRequest with an encoded WatchCreateRequest. */
export function requestToCreate(create: Uint8Array): Uint8Array {
  return watchRequest(Request.create, create);
}

function watchRequest(field: number, body: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(body).finish();
}
