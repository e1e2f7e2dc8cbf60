/**
 * Keys as JSON. Keys and values are text where their bytes are UTF-8, and base64 under another name where they are not, so that
 * nothing is lost and most of it can be read. 64-bit numbers are text, as in etcd's own JSON.
 */
import { isUtf8 } from 'node:buffer';
import { fromBinary } from '@bufbuild/protobuf';
import { Event_EventType, EventSchema, type KeyValue, KeyValueSchema } from '#gen/mvccpb/kv_pb.js';
import { base64 } from '../json-pieces.ts';

/** Bytes that become a part of a string at once. */
const PART_BYTES = 48 << 10;

/** What of a key is written. */
export type KeyForm = 'whole' | 'without value';

/** Keys, each by itself. @param encoded each a `KeyValue` @throws Error when one is none */
export function* keysText(encoded: Iterable<Uint8Array>, form: KeyForm): Generator<Generator<string>> {
  for (const key of encoded) yield keyText(fromBinary(KeyValueSchema, key), form);
}

/** Keys, each on a line of its own, as one list. @param encoded each a `KeyValue` @throws Error when one is none */
export function* listText(encoded: Iterable<Uint8Array>, form: KeyForm): Generator<string> {
  let before = '[\n';
  for (const text of keysText(encoded, form)) {
    yield before;
    yield* text;
    before = ',\n';
  }
  yield before === '[\n' ? '[]\n' : '\n]\n';
}

/** What has happened to a key. */
export interface Change {
  readonly kind: 'put' | 'delete';
  readonly revision: bigint;
  readonly text: Generator<string>;
}

/** A change. @param encoded an `Event` @throws Error when it is none */
export function changeOf(encoded: Uint8Array): Change {
  const { type, kv } = fromBinary(EventSchema, encoded);
  if (kv === undefined) throw new Error('an event without its key');
  const revision = kv.modRevision;
  if (type === Event_EventType.PUT) return { kind: 'put', revision, text: keyText(kv, 'whole') };
  return { kind: 'delete', revision, text: deletedText(kv) };
}

/** A key on a line of its own. */
export function* lineText(kv: KeyValue, form: KeyForm): Generator<string> {
  yield* keyText(kv, form);
  yield '\n';
}

function* keyText(kv: KeyValue, form: KeyForm): Generator<string> {
  yield '{';
  yield* bytesText('key', kv.key);
  if (form === 'whole') {
    yield ',';
    yield* bytesText('value', kv.value);
  }
  yield `,"create_revision":"${kv.createRevision}","mod_revision":"${kv.modRevision}","version":"${kv.version}"`;
  yield kv.lease === 0n ? '}' : `,"lease":"${kv.lease}"}`;
}

function* deletedText(kv: KeyValue): Generator<string> {
  yield '{';
  yield* bytesText('key', kv.key);
  yield `,"mod_revision":"${kv.modRevision}"}`;
}

function* bytesText(name: string, bytes: Uint8Array): Generator<string> {
  if (!isUtf8(bytes)) {
    yield `"${name}_base64":`;
    yield* base64(bytes);
    return;
  }
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  yield `"${name}":"`;
  for (let at = 0; at < buffer.length; ) {
    const end = characterEnd(buffer, at + PART_BYTES);
    yield JSON.stringify(buffer.toString('utf8', at, end)).slice(1, -1);
    at = end;
  }
  yield '"';
}

/** Where the character ends that has the byte before a place. */
function characterEnd(utf8: Buffer, place: number): number {
  let end = Math.min(place, utf8.length);
  while (end < utf8.length && ((utf8[end] as number) & 0xc0) === 0x80) end++;
  return end;
}
