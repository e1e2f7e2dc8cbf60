/**
 * gRPC-Web in its text form (grpc/grpc `doc/PROTOCOL-WEB.md`): the binary form in base64, which is what Google's client
 * speaks unless told otherwise. Each piece that is flushed is base64 with padding of its own.
 */
import { Code, RpcError } from '../../rpc/status.ts';

const TEXT_TYPE = /^application\/grpc-web-text(?=$|[+;])/i;

/** The most types in `Accept` that are looked at. */
const MAX_ACCEPTED = 100;

/** Whether a body of this content type is in the text form. */
export function isTextForm(contentType: string | undefined): boolean {
  return contentType !== undefined && TEXT_TYPE.test(contentType);
}

/** Whether the answer goes out in the text form: as the client accepts it, or as it sent its request. */
export function wantsTextForm(accept: string | undefined, textRequest: boolean): boolean {
  const named = accept
    ?.split(',', MAX_ACCEPTED)
    .find((type) => /^\s*application\/grpc-web(?:$|[-+;,\s])/i.test(type));
  return named === undefined ? textRequest : isTextForm(named.trim());
}

/** The content type of the binary form, for one of the text form. */
export function binaryForm(contentType: string): string {
  return contentType.replace(TEXT_TYPE, 'application/grpc-web');
}

/** The content type of the text form, for one of the binary form. */
export function textForm(contentType: string): string {
  return contentType.replace(/^application\/grpc-web(?=$|[+;])/i, 'application/grpc-web-text');
}

/** The bytes of a request in the text form. What is no base64 is the client's mistake. */
export async function* fromText(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest = '';
  for await (const chunk of body) {
    const text = rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
    const whole = text.length - (text.length % GROUP);
    rest = text.slice(whole);
    yield bytesOf(text.slice(0, whole));
  }
  if (rest !== '') throw new RpcError(Code.INVALID_ARGUMENT, 'the base64 of the request is cut short');
}

/** Characters that stand for three bytes. */
const GROUP = 4;
const GROUPS = /^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)*$/;

/** The bytes of whole groups, of which any may be padded. */
function bytesOf(text: string): Buffer {
  if (!GROUPS.test(text)) throw new RpcError(Code.INVALID_ARGUMENT, 'the request is not base64');
  if (!text.includes('=')) return Buffer.from(text, 'base64');
  return Buffer.concat((text.match(/[^=]+=*/g) ?? []).map((piece) => Buffer.from(piece, 'base64')));
}

/** Bytes that are encoded at a time; a multiple of three, so that only the end of a message has padding. */
const PIECE_BYTES = 3 * 64 * 1024;

/** A response in the text form; every message ends a piece. */
export async function* toText(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      yield Buffer.from(bytes.toString('base64', at, Math.min(bytes.length, at + PIECE_BYTES)), 'latin1');
    }
  }
}
