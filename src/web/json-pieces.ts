/**
 * The JSON form of large messages, in pieces: each is made when it is asked for, so that neither time nor memory is taken
 * for all of it at once. Text is made by the library that converts small messages, of parts of the message: elements of
 * lists, messages within, and what is left. Only what stands between them is written here.
 */

import { type DescField, type DescMessage, fromBinary, ScalarType, toJsonString } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { FIELDS_PER_TURN } from '../rpc/round-robin.ts';

/** Smaller parts of a message are converted in one go. Bytes. */
const PART_BYTES = 16 << 10;
/** Text that is handed on at once. Characters. */
const PIECE_LENGTH = 64 << 10;
/** Bytes that become base64 at once; a multiple of three, since only the end may be padded. */
const BASE64_BYTES = 48 << 10;

/** How messages look as JSON. */
export interface JsonForm {
  /** The name of a field. */
  nameOf(field: DescField): string;
  /** The whole of a message. @throws Error for bytes that are no such message */
  textOf(schema: DescMessage, message: Uint8Array): string;
}

/** As protobuf defines it, which Connect uses. */
const PROTOBUF_FORM: JsonForm = {
  nameOf: ({ jsonName }) => jsonName,
  textOf: (schema, message) => toJsonString(schema, fromBinary(schema, message)),
};

/** Others should have their turn. */
const TURN = '';

/** The JSON form of an encoded message, as UTF-8. Lets others have their turn between its pieces. */
export async function* jsonPieces(
  schema: DescMessage,
  message: Uint8Array,
  form = PROTOBUF_FORM,
): AsyncGenerator<Uint8Array> {
  yield* inPieces(parts(schema, message, form));
}

/**
 * Text in pieces that are worth sending, as UTF-8; others have their turn between them.
 * @param parts made when they are asked for; an empty one lets others have their turn
 */
export async function* inPieces(parts: Iterable<string>): AsyncGenerator<Uint8Array> {
  let text = '';
  for (const part of parts) {
    text += part;
    if (part !== TURN && text.length < PIECE_LENGTH) continue;
    if (text !== '') yield Buffer.from(text);
    text = '';
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (text !== '') yield Buffer.from(text);
}

/** Where the fields of a message are that are converted by themselves: starts and ends, in turns. */
class MessageFields {
  readonly byField = new Map<DescField, number[]>();
  /** Everything else, in its order. */
  readonly rest: Uint8Array[] = [];
  /** There is more than one value where only one counts: two of a field, or two members of a oneof. */
  ambiguous = false;
  readonly #single = new Set<object>();

  add(field: DescField, start: number, end: number): void {
    const places = this.byField.get(field);
    if (places === undefined) this.byField.set(field, [start, end]);
    else places.push(start, end);
  }

  note(field: DescField): void {
    if (field.fieldKind === 'list' || field.fieldKind === 'map') return;
    const place = field.oneof ?? field;
    this.ambiguous ||= this.#single.has(place);
    this.#single.add(place);
  }
}

function* parts(schema: DescMessage, message: Uint8Array, form: JsonForm): Generator<string> {
  if (message.length <= PART_BYTES || schema.typeName.startsWith('google.protobuf.')) {
    yield form.textOf(schema, message);
    return;
  }
  const fields = yield* fieldsOf(schema, message);
  if (fields.ambiguous) {
    yield form.textOf(schema, message);
    return;
  }
  const rest = JSON.parse(form.textOf(schema, Buffer.concat(fields.rest))) as Record<string, unknown>;
  let before = '{';
  for (const field of inOrder(schema)) {
    const places = fields.byField.get(field);
    const name = form.nameOf(field);
    if (places === undefined && !Object.hasOwn(rest, name)) continue;
    yield `${before}${JSON.stringify(name)}:`;
    before = ',';
    if (places === undefined) yield JSON.stringify(rest[name]);
    else yield* partsOf(field, message, places, form);
  }
  yield before === '{' ? '{}' : '}';
}

/** Takes a message apart. */
function* fieldsOf(schema: DescMessage, message: Uint8Array): Generator<string, MessageFields> {
  const fields = new MessageFields();
  const byNumber = new Map(schema.fields.map((field) => [field.number, field]));
  const reader = new BinaryReader(message);
  for (let count = 1; reader.pos < reader.len; count++) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    const field = byNumber.get(number);
    const contents = reader.pos;
    reader.skip(wireType, number);
    const end = reader.pos;
    if (field !== undefined) fields.note(field);
    if (field !== undefined && wireType === WireType.LengthDelimited && isApart(field, end - contents))
      fields.add(field, contents + lengthBytes(message, contents), end);
    else fields.rest.push(message.subarray(start, end));
    if (count % FIELDS_PER_TURN === 0) yield TURN;
  }
  return fields;
}

/** Whether a field is converted by itself. */
function isApart(field: DescField, length: number): boolean {
  if (field.fieldKind === 'message') return length > PART_BYTES && !field.delimitedEncoding;
  if (field.fieldKind === 'list') return field.listKind === 'message' && !field.delimitedEncoding;
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES && length > PART_BYTES;
}

/** The value of a field that is converted by itself. */
function* partsOf(
  field: DescField,
  message: Uint8Array,
  places: readonly number[],
  form: JsonForm,
): Generator<string> {
  const at = (i: number) => message.subarray(places[i], places[i + 1]);
  if (field.fieldKind === 'scalar') {
    yield* base64(at(0));
  } else if (field.message !== undefined && field.fieldKind === 'list') {
    for (let i = 0; i < places.length; i += 2) {
      yield i === 0 ? '[' : ',';
      yield* parts(field.message, at(i), form);
    }
    yield ']';
  } else if (field.message !== undefined) {
    yield* parts(field.message, at(0), form);
  }
}

/** Bytes as a string of JSON, base64. */
export function* base64(bytes: Uint8Array): Generator<string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  yield '"';
  for (let at = 0; at < buffer.length; at += BASE64_BYTES)
    yield buffer.toString('base64', at, Math.min(at + BASE64_BYTES, buffer.length));
  yield '"';
}

const orders = new WeakMap<DescMessage, readonly DescField[]>();

/** The fields in the order in which JSON has them. */
function inOrder(schema: DescMessage): readonly DescField[] {
  let order = orders.get(schema);
  if (order === undefined) {
    order = schema.fields.toSorted((a, b) => a.number - b.number);
    orders.set(schema, order);
  }
  return order;
}

/** Bytes of the length that stands at a place. */
function lengthBytes(message: Uint8Array, at: number): number {
  let count = 1;
  while ((message[at + count - 1] as number) >= 0x80) count++;
  return count;
}
