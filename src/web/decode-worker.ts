/** The other side of `MessageDecoder`: reads one request after the other on a thread of its own. */
import { parentPort } from 'node:worker_threads';
import { fromBinary, fromJsonString, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { DecodeAnswer, DecodeQuestion } from './decoder.ts';
import { METHOD_SCHEMAS, pathOf } from './schemas.ts';

/** Parts of a message; nothing that etcd takes has nearly as many, and each costs some hundred bytes here. */
const MAX_PARTS = 1_000_000;

const OPENING_BRACE = 0x7b;

const schemas = new Map(METHOD_SCHEMAS.map((method) => [pathOf(method), method.input] as const));

parentPort?.on('message', ({ path, json, bytes }: DecodeQuestion) => {
  const answer = decode(path, json, bytes);
  parentPort?.postMessage(answer, 'bytes' in answer ? [answer.bytes.buffer] : []);
});

function decode(path: string, json: boolean, bytes: Uint8Array): DecodeAnswer {
  const schema = schemas.get(path);
  if (schema === undefined) return { error: `no method ${path}` };
  try {
    if ((json ? countObjects(bytes) : countFields(bytes)) > MAX_PARTS) return { tooMany: true };
    // As Connect reads the small ones.
    const message = json
      ? fromJsonString(schema, new TextDecoder().decode(bytes), { ignoreUnknownFields: true })
      : fromBinary(schema, bytes);
    return { bytes: toBinary(schema, message) };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { error: json ? text : `parse binary: ${text}` };
  }
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
