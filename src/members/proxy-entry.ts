/**
 * What a proxy writes to etcd to be found: key `PREFIX/ADDRESS`, and the value that etcd's resolver for Go
 * (`go.etcd.io/etcd/client/v3/naming/endpoints`) writes and reads, with the metadata of `etcd grpc-proxy`
 * (`server/proxy/grpcproxy/register.go`), to the byte.
 */
import { memberField } from '../etcd/member-list.ts';

/** A longer value is no proxy's. Bytes. */
const MAX_VALUE = 16 << 10;

/** A proxy that is registered. */
export interface RegisteredProxy {
  readonly address: string;
  /** Encoded for a reply to MemberList, as a field. */
  readonly member: Uint8Array;
}

/** The key of a proxy's entry. @param prefix without the slash behind it, which is there also where the prefix ends with one */
export function entryKey(prefix: string, address: string): Buffer {
  return Buffer.from(`${prefix}/${address}`);
}

/** The value for a proxy. @param name of its host */
export function entryValue(address: string, name: string): Buffer {
  const metadata = goJson({ name });
  return Buffer.from(goJson({ Op: 0, Addr: address, Metadata: metadata }));
}

/** Reads a value; `undefined`: it is no proxy's. @param value latin1 */
export function readEntry(value: string): RegisteredProxy | undefined {
  if (value.length > MAX_VALUE) return undefined;
  const update = readObject(Buffer.from(value, 'latin1').toString());
  const { Addr: address, Metadata: metadata } = update;
  if (typeof address !== 'string' || address === '' || typeof metadata !== 'string') return undefined;
  const { name } = readObject(metadata);
  return typeof name === 'string' ? { address, member: memberField(name, address) } : undefined;
}

/** The fields of a JSON object; none where the text is anything else. */
function readObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

/** Go escapes these within strings, so that JSON can stand in HTML and in JavaScript of old. */
const ESCAPED = /[<>&\u2028\u2029]/g;

/** As Go's `encoding/json` writes it. */
function goJson(value: object): string {
  return JSON.stringify(value).replace(
    ESCAPED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
