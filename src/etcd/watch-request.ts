/** WatchRequests: those of clients read, those to etcd written. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { KeyRange } from './key-range.ts';
import type { KeyRanges } from './key-ranges.ts';
import { latin1 } from './latin1.ts';

/** Numbers of the fields of `WatchRequest`. */
const Request = { create: 1, cancel: 2, progress: 3 } as const;

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

/** The encoded request for progress. */
export const PROGRESS_REQUEST: Uint8Array = watchRequest(Request.progress, new Uint8Array(0));

/** Reads a request. @throws on bytes that are no message */
export function readRequest(message: Uint8Array, ranges: KeyRanges): WatchRequest {
  const reader = new BinaryReader(message);
  let request: WatchRequest = { kind: 'nothing' };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited || field < Request.create || field > Request.progress)
      reader.skip(wireType, field);
    else if (field === Request.create) request = readCreate(reader.bytes(), ranges);
    else if (field === Request.cancel) request = { kind: 'cancel', id: readId(reader.bytes()) };
    else {
      reader.bytes();
      request = { kind: 'progress' };
    }
  }
  return request;
}

function readCreate(message: Uint8Array, ranges: KeyRanges): CreateRequest {
  const reader = new BinaryReader(message);
  let key = '';
  let rangeEnd = '';
  let start = 0;
  let id = 0n;
  let flags = 0;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === Create.key && wireType === WireType.LengthDelimited) key = latin1(reader.bytes());
    else if (field === Create.rangeEnd && wireType === WireType.LengthDelimited)
      rangeEnd = latin1(reader.bytes());
    else if (field === Create.start && wireType === WireType.Varint) start = Number(reader.int64());
    else if (field === Create.progress && wireType === WireType.Varint)
      flags = set(flags, Flag.progress, reader.bool());
    else if (field === Create.filters) flags |= readFilters(reader, wireType);
    else if (field === Create.prevKv && wireType === WireType.Varint)
      flags = set(flags, Flag.prevKv, reader.bool());
    else if (field === Create.id && wireType === WireType.Varint) id = BigInt(reader.int64());
    else if (field === Create.fragment && wireType === WireType.Varint)
      flags = set(flags, Flag.fragment, reader.bool());
    else reader.skip(wireType, field);
  }
  const range = ranges.of(key, rangeEnd);
  return { kind: 'create', range, start, id, options: OPTIONS[flags] as WatchOptions };
}

const Flag = { noPut: 1, noDelete: 2, progress: 4, prevKv: 8, fragment: 16 } as const;

/** Every combination, by its flags: watches with the same options share the object. */
const OPTIONS: readonly WatchOptions[] = Array.from({ length: 32 }, (_, flags) => ({
  prevKv: (flags & Flag.prevKv) !== 0,
  noPut: (flags & Flag.noPut) !== 0,
  noDelete: (flags & Flag.noDelete) !== 0,
  fragment: (flags & Flag.fragment) !== 0,
  progressNotify: (flags & Flag.progress) !== 0,
}));

const set = (flags: number, flag: number, on: boolean): number => (on ? flags | flag : flags & ~flag);

/** `filters`, packed or not; etcd passes over filters that it does not know. */
function readFilters(reader: BinaryReader, wireType: WireType): number {
  if (wireType === WireType.Varint) return filterFlag(reader.int32());
  if (wireType !== WireType.LengthDelimited) {
    reader.skip(wireType, Create.filters);
    return 0;
  }
  const packed = new BinaryReader(reader.bytes());
  let flags = 0;
  while (packed.pos < packed.len) flags |= filterFlag(packed.int32());
  return flags;
}

const filterFlag = (filter: number): number => (filter === 0 ? Flag.noPut : filter === 1 ? Flag.noDelete : 0);

function readId(message: Uint8Array): bigint {
  const reader = new BinaryReader(message);
  let id = 0n;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === CANCEL_ID && wireType === WireType.Varint) id = BigInt(reader.int64());
    else reader.skip(wireType, field);
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
