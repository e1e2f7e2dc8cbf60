/** The other side of `MessageDecoder`: reads one request after the other on a thread of its own. */
import { parentPort } from 'node:worker_threads';
import { type DescMessage, fromBinary, fromJsonString, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { firstMessage } from './json-message.ts';
import type { DecodeAnswer, DecodeQuestion, MessageForm } from './message-decoder.ts';
import { METHOD_SCHEMAS, pathOf } from './schemas.ts';

/** Parts of a message; nothing that etcd takes has nearly as many, and each costs some hundred bytes here. */
const MAX_PARTS = 1_000_000;

const OPENING_BRACE = 0x7b;

const schemas = new Map(METHOD_SCHEMAS.map((method) => [pathOf(method), method.input] as const));

parentPort?.on('message', ({ path, form, bytes }: DecodeQuestion) => {
  const answer = decode(path, form, bytes);
  parentPort?.postMessage(answer, 'bytes' in answer ? [answer.bytes.buffer] : []);
});

function decode(path: string, form: MessageForm, bytes: Uint8Array): DecodeAnswer {
  const schema = schemas.get(path);
  if (schema === undefined) return { error: `no method ${path}` };
  try {
    if ((form === 'proto' ? countFields(bytes) : countObjects(bytes)) > MAX_PARTS) return { tooMany: true };
    return { bytes: encoded(schema, form, bytes) };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { error: form === 'proto' ? `parse binary: ${text}` : text };
  }
}

/** As the small ones are read. */
function encoded(schema: DescMessage, form: MessageForm, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (form === 'etcd-json') return firstMessage(schema, bytes);
  const message =
    form === 'json'
      ? fromJsonString(schema, new TextDecoder().decode(bytes), { ignoreUnknownFields: true })
      : fromBinary(schema, bytes);
  return toBinary(schema, message);
}

/** At most so many objects are in a text. */
function countObjects(text: Uint8Array): number {
  let count = 0;
  for (let at = text.indexOf(OPENING_BRACE); at >= 0; at = text.indexOf(OPENING_BRACE, at + 1)) count++;
  return count;
}

/** Fields of a message, without those within. @throws Error for bytes that are none */
function countFields(message: Uint8Array): number {
  const reader = new BinaryReader(message);
  let count = 0;
  for (; reader.pos < reader.len; count++) {
    const [number, wireType] = reader.tag();
    reader.skip(wireType, number);
  }
  return count;
}
