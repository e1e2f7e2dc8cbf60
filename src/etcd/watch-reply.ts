/** WatchResponses to clients: those without events as a whole, and the fields of which the others are put together. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { HEADER_TAG, type Header, headerField } from './header.ts';
import { Tag } from './watch-response.ts';

/** What a response says beside its header. */
export interface EventlessResponse {
  readonly header: Header;
  readonly id: bigint;
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly compactRevision?: number;
  readonly reason?: string;
}

/** Encodes a response without events. */
export function encodeReply(reply: EventlessResponse): Uint8Array {
  const { header, id, created, canceled, compactRevision, reason } = reply;
  const isPlain = !(canceled || compactRevision || reason);
  if (created && isPlain && header.bytes.length < 0x80) return encodeCreated(header.bytes, idField(id));
  const writer = new BinaryWriter();
  writer.raw(headerField(header.bytes));
  if (id !== 0n) writer.uint32(Tag.watchId).int64(id);
  if (created) writer.uint32(Tag.created).bool(true);
  if (canceled) writer.uint32(Tag.canceled).bool(true);
  if (compactRevision) writer.uint32(Tag.compactRevision).int64(compactRevision);
  if (reason) writer.uint32(Tag.cancelReason).string(reason);
  return writer.finish();
}

/** The reply to a create, of which there are very many: with nothing made but the reply. @param header of less than 128 bytes */
function encodeCreated(header: Uint8Array, id: Uint8Array): Uint8Array {
  const idAt = 2 + header.length;
  const createdAt = idAt + id.length;
  const reply = new Uint8Array(createdAt + 2);
  reply[0] = HEADER_TAG;
  reply[1] = header.length;
  reply.set(header, 2);
  reply.set(id, idAt);
  reply[createdAt] = Tag.created;
  reply[createdAt + 1] = 1;
  return reply;
}

/** `fragment`, set, as a field. */
export const FRAGMENT_FIELD: Uint8Array = new BinaryWriter().uint32(Tag.fragment).bool(true).finish();

/** How many bytes come before the body of one of the `events`: its tag, and the length. */
export function eventHeadLength(body: number): number {
  let length = 2;
  for (let left = body; left >= 0x80; left = Math.floor(left / 0x80)) length++;
  return length;
}

/** Writes them. @returns where the body goes */
export function writeEventHead(target: Uint8Array, start: number, body: number): number {
  let at = start;
  target[at++] = Tag.events;
  let left = body;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) target[at++] = (left & 0x7f) | 0x80;
  target[at++] = left;
  return at;
}

/** `watch_id` as a field; empty for zero. */
export function idField(id: bigint): Uint8Array {
  if (id < 0n || id >= SMALL_IDS) return encodeId(id);
  const index = Number(id);
  idFields[index] ??= encodeId(id);
  return idFields[index];
}

/** The number in replies that are about no watch. */
export const NO_WATCH = -1n;

/** A number that the server chooses. */
export function watchId(number: number): bigint {
  if (number >= SMALL_IDS) return BigInt(number);
  ids[number] ??= BigInt(number);
  return ids[number];
}

/** Servers count from zero on every stream, so the same few numbers serve most watches. */
const SMALL_IDS = 10_000;
const ids: bigint[] = [];
const idFields: Uint8Array[] = [];

function encodeId(id: bigint): Uint8Array {
  return id === 0n ? new Uint8Array(0) : new BinaryWriter().uint32(Tag.watchId).int64(id).finish();
}
