/** Watch requests: those of clients read, those to etcd written. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { KeyRange } from '../etcd/key-range.ts';
import type { KeyRanges } from '../etcd/key-ranges.ts';
import { latin1 } from '../etcd/latin1.ts';

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

/** What the proxy itself watches on etcd. */
export interface UpstreamWatchRequest {
  readonly range: KeyRange;
  /** Zero: now. */
  readonly start: number;
  readonly prevKv: boolean;
}

/** The encoded request for progress. */
export const PROGRESS_REQUEST: Uint8Array = Uint8Array.of(0x1a, 0);

/** Reads a request. @throws on bytes that are no message */
export function readRequest(message: Uint8Array, ranges: KeyRanges): WatchRequest {
  const reader = new BinaryReader(message);
  let request: WatchRequest = { kind: 'nothing' };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited || field < 1 || field > 3) reader.skip(wireType, field);
    else if (field === 1) request = readCreate(reader.bytes(), ranges);
    else if (field === 2) request = { kind: 'cancel', id: readId(reader.bytes()) };
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
    if (field === 1 && wireType === WireType.LengthDelimited) key = latin1(reader.bytes());
    else if (field === 2 && wireType === WireType.LengthDelimited) rangeEnd = latin1(reader.bytes());
    else if (field === 3 && wireType === WireType.Varint) start = Number(reader.int64());
    else if (field === 4 && wireType === WireType.Varint) flags = set(flags, Flag.progress, reader.bool());
    else if (field === 5) flags |= readFilters(reader, wireType);
    else if (field === 6 && wireType === WireType.Varint) flags = set(flags, Flag.prevKv, reader.bool());
    else if (field === 7 && wireType === WireType.Varint) id = BigInt(reader.int64());
    else if (field === 8 && wireType === WireType.Varint) flags = set(flags, Flag.fragment, reader.bool());
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
    reader.skip(wireType, 5);
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
    if (field === 1 && wireType === WireType.Varint) id = BigInt(reader.int64());
    else reader.skip(wireType, field);
  }
  return id;
}

/** The encoded request for a watch of the proxy's own: fragments allowed, progress wanted. */
export function createRequest({ range, start, prevKv }: UpstreamWatchRequest): Uint8Array {
  const create = new BinaryWriter();
  create.uint32(0x0a).bytes(Buffer.from(range.start, 'latin1'));
  if (range.rangeEnd !== '') create.uint32(0x12).bytes(Buffer.from(range.rangeEnd, 'latin1'));
  if (start !== 0) create.uint32(0x18).int64(BigInt(start));
  create.uint32(0x20).bool(true);
  if (prevKv) create.uint32(0x30).bool(true);
  create.uint32(0x40).bool(true);
  return new BinaryWriter().uint32(0x0a).bytes(create.finish()).finish();
}
