/**
 * What the target of a request names: a key, byte by byte, and parameters. Keys are any bytes, so the target is read as it
 * came: no dots are resolved, no slashes joined, and `%2F` is a slash like any other.
 */
import { Code, RpcError } from '../../rpc/status.ts';

/** Where keys are found, and where their changes are. */
export type Place = 'kv' | 'watch';

/** A target. */
export interface KeyTarget {
  readonly place: Place;
  /** As it was sent, before the question mark. */
  readonly path: string;
  readonly key: Uint8Array;
  /** What is behind the question mark. */
  readonly query: string;
}

/** Clients that take the proxy for one of theirs send the whole address (RFC 9112 section 3.2.2). */
const TARGET = /^(?:https?:\/\/[^/?]*)?(\/(kv|watch)(?:\/([^?]*))?)(?:\?(.*))?$/s;

const PERCENT = 0x25;

/** The path that stands for a target in a table of routes, which shall not read keys; undefined: it is no target of these. */
export function routeOf(url: string): string | undefined {
  const place = TARGET.exec(url)?.[2];
  return place === undefined ? undefined : `/${place}`;
}

/** Reads a target. @throws RpcError when it names no bytes, or is none */
export function readTarget(url: string): KeyTarget {
  const [, path = '', place, key = '', query = ''] = TARGET.exec(url) ?? [];
  if (place === undefined) throw new RpcError(Code.NOT_FOUND, 'no such path');
  return { place: place as Place, path, key: decoded(key), query };
}

/** The bytes that percent-encoded text stands for. @throws RpcError */
export function decoded(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'latin1');
  let length = bytes.indexOf(PERCENT);
  if (length < 0) return bytes;
  for (let at = length; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    bytes[length++] = byte === PERCENT ? 16 * digit(bytes[++at]) + digit(bytes[++at]) : byte;
  }
  return bytes.subarray(0, length);
}

/** @throws RpcError when it is no hexadecimal digit */
function digit(char = 0): number {
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  const small = char | 0x20;
  if (small >= 0x61 && small <= 0x66) return small - 0x61 + 10;
  throw new RpcError(Code.INVALID_ARGUMENT, 'a % must be followed by two hexadecimal digits');
}

/** Within a path clients resolve them, be they encoded or not, but not between slashes that are. */
const DOTS = /(?:^|\/)\.\.?(?:\/|$)/;

/** The path of a key. */
export function pathOfKey(key: Uint8Array): string {
  const text = encoded(key);
  return `/kv/${DOTS.test(text) ? text.replaceAll('/', '%2F') : text}`;
}

/** Bytes as text that {@link decoded} reads, in a path and behind a question mark. */
export function encoded(bytes: Uint8Array): string {
  const latin1 = Buffer.from(bytes).toString('latin1');
  return latin1.replaceAll(
    /[^A-Za-z0-9\-._~/]/g,
    (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
}
