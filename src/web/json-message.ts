/**
 * Messages from the JSON that etcd's gateway takes: names as in the `.proto` file or in lower camel case, unknown ones passed
 * over, 64-bit numbers as text or as they are, bytes in either alphabet of base64, padded or not. It is as strict as the
 * gateway of the newest etcd.
 */
import type { DescMessage } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { mostNames, refuseTwice } from './json-names.ts';
import { asInteger, BadJson, bytesOf, InexactNumber, type Integer, LIMITS } from './json-scalars.ts';
import { type JsonField, jsonTable } from './json-table.ts';
import { JsonValues } from './json-values.ts';

/**
 * What is looked at value by value: numbers that may not be exact, with as many digits, a fraction or an exponent, and halves of
 * surrogate pairs.
 */
const DELICATE = /(?:^|[:[,\s])-?(?:\d{16}|\d+[.eE])|\\u[dD][89abAB]|\\u[dD][c-fC-F]/;

/**
 * The message that the first JSON value of a body says; an empty one when there is none. As in etcd, what follows is not
 * looked at. @throws BadJson
 */
export function firstMessage(schema: DescMessage, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = textOf(body);
  if (whole.trim() === '') return new Uint8Array(0);
  try {
    return messageOf(schema, whole);
  } catch (error) {
    // Something may follow it.
    const values = new JsonValues();
    const [first] = values.push(body);
    if (first === undefined || first.length === body.length) throw error;
    return messageOf(schema, textOf(first));
  }
}

/** The message that a JSON value says. @throws BadJson */
function messageOf(schema: DescMessage, text: string): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  const written = writeMessage(schema, parse(text), writer);
  // Some of its names are within what is unknown, or there twice; few texts have either.
  if (written < mostNames(text)) refuseTwice(schema, text);
  return writer.finish();
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of bytes. @throws BadJson when they are no UTF-8 */
export function textOf(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new BadJson('invalid UTF-8');
  }
}

function parse(text: string): unknown {
  try {
    return DELICATE.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
  } catch (error) {
    throw new BadJson(error instanceof Error ? error.message : 'no JSON');
  }
}

/** Keeps the text of numbers that may not be exact as numbers of JavaScript. @throws BadJson for text that is no Unicode */
function exactly(key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (!key.isWellFormed() || (typeof value === 'string' && !value.isWellFormed()))
    throw new BadJson('half of a surrogate pair');
  if (typeof value !== 'number') return value;
  const source = context?.source ?? String(value);
  return Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? value : new InexactNumber(source);
}

/** Returns how many names there are, without those within unknown ones. */
function writeMessage(schema: DescMessage, value: unknown, writer: BinaryWriter): number {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof InexactNumber)
    throw new BadJson(`a ${schema.name} is an object`);
  const { byName } = jsonTable(schema);
  const seen = new Set<object>();
  const entries = Object.entries(value);
  let names = entries.length;
  for (const [name, given] of entries) {
    const field = byName.get(name);
    if (field === undefined) continue;
    takePlace(seen, field, name);
    if (given === null) continue;
    if (field.oneof !== undefined) takePlace(seen, field.oneof, name);
    if (field.list) {
      if (!Array.isArray(given)) throw new BadJson(`${name} is a list`);
      for (const one of given) names += writeField(field, one, name, writer);
    } else names += writeField(field, given, name, writer);
  }
  return names;
}

/** Two names of one field, or two fields of which only one can be set. @throws BadJson */
function takePlace(seen: Set<object>, place: object, name: string): void {
  if (seen.has(place)) throw new BadJson(`${name} is given twice`);
  seen.add(place);
}

/** Returns how many names are within it. */
function writeField(field: JsonField, value: unknown, name: string, writer: BinaryWriter): number {
  const { number, wireType, message } = field;
  if (message === undefined) {
    writeScalar(field, value, name, writer);
    return 0;
  }
  writer.tag(number, wireType).fork();
  const names = writeMessage(message, value, writer);
  writer.join();
  return names;
}

function writeScalar(field: JsonField, value: unknown, name: string, writer: BinaryWriter): void {
  const { kind, number, wireType } = field;
  const scalar = scalarOf(field, value);
  if (scalar === undefined) {
    // The name of an enum's value that a newer client knows.
    if (kind === 'enum' && typeof value === 'string') return;
    throw new BadJson(`invalid value for ${name}`);
  }
  if (!field.explicit && isZero(scalar)) return;
  writer.tag(number, wireType);
  if (typeof scalar === 'string') writer.string(scalar);
  else if (typeof scalar === 'boolean') writer.bool(scalar);
  else if (scalar instanceof Uint8Array) writer.bytes(scalar);
  else if (kind === 'uint64') writer.uint64(scalar);
  else if (kind === 'uint32') writer.uint32(Number(scalar));
  else writer.int64(scalar);
}

function scalarOf(
  { kind, values }: JsonField,
  value: unknown,
): string | boolean | Uint8Array | Integer | undefined {
  switch (kind) {
    case 'bytes':
      return typeof value === 'string' ? bytesOf(value) : undefined;
    case 'string':
      return typeof value === 'string' ? value : undefined;
    case 'bool':
      return typeof value === 'boolean' ? value : undefined;
    case 'enum':
      if (typeof value === 'string') return values?.values.find(({ name }) => name === value)?.number;
      return asInteger(value, LIMITS.int32);
    case 'int32':
    case 'uint32':
    case 'int64':
    case 'uint64':
      return asInteger(value, LIMITS[kind]);
    default:
      return undefined;
  }
}

function isZero(value: string | boolean | Uint8Array | Integer): boolean {
  return typeof value === 'string' || value instanceof Uint8Array ? value.length === 0 : Number(value) === 0;
}
