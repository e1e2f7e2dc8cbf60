/**
 * End-to-end metadata of a call: the header fields that belong to the application and therefore travel through
 * the proxy, as opposed to those that belong to one connection or to the gRPC framing of one hop.
 */

import { isUtf8 } from 'node:buffer';

/** Header fields as a flat list: name, value, name, value, ...; names in lower case, `-bin` values in base64. */
export type HeaderFields = readonly string[];

/**
 * An immutable set of metadata. Instances are shared between calls with identical headers, so that what is
 * derived from one (such as its encoded form) can be kept in {@link encoded}.
 */
export class Metadata {
  readonly fields: HeaderFields;
  /** The HPACK block of {@link fields}, kept by the transport after its first use. */
  encoded: Uint8Array | undefined;

  constructor(fields: HeaderFields) {
    this.fields = fields;
  }

  /** The first value under a lower-case name. */
  get(name: string): string | undefined {
    return fieldValue(this.fields, name);
  }
}

/** Metadata with no fields. */
export const NO_METADATA = new Metadata([]);

/** The first value under a lower-case name in a flat list. */
export function fieldValue(fields: HeaderFields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return undefined;
}

/**
 * Names that describe one hop and are written anew on the next: HTTP's hop-by-hop fields (RFC 9110 section
 * 7.6.1), and the fields that the gRPC and Connect protocols use for their own framing.
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'http2-settings',
  'content-type',
  'content-length',
  'content-encoding',
  'accept',
  'accept-encoding',
  'date',
  'expect',
  'user-agent',
]);

/** Whether a request or response field travels on to the other side. */
function isEndToEnd(name: string): boolean {
  if (name.charCodeAt(0) === 0x3a /* : */) return false;
  if (HOP_BY_HOP.has(name)) return false;
  return !(name.startsWith('grpc-') || isForBrowsers(name)) || isTracing(name);
}

/**
 * Which origins may call is for the server to say that a browser talks to. etcd, where it serves TLS, says in every
 * answer that all may; relayed, that would undo the proxy's own rules.
 */
function isForBrowsers(name: string): boolean {
  return name.startsWith('access-control-');
}

/** The two `grpc-` names that are application data: the binary trace context and census tags. */
function isTracing(name: string): boolean {
  return name === 'grpc-trace-bin' || name === 'grpc-tags-bin';
}

/**
 * Whether a value may go to etcd. etcd counts calls by what clients say of their version, and a text that is no UTF-8 ends the
 * process of some releases (3.4.23). It means nothing to any.
 */
function isFit(name: string, value: string): boolean {
  return name !== 'client-api-version' || isUtf8(Buffer.from(value, 'latin1'));
}

/**
 * The request metadata that etcd shall see. `Authorization: Bearer X` is rewritten to `X`: etcd knows tokens
 * without a scheme only (its `authorization` and `token` keys are synonyms), HTTP clients like to send one.
 */
export function requestMetadata(fields: HeaderFields): Metadata {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (!isEndToEnd(name) || !isFit(name, value)) continue;
    kept.push(name, name === 'authorization' ? value.replace(/^bearer +/i, '') : value);
  }
  return kept.length === 0 ? NO_METADATA : new Metadata(kept);
}

/** The response headers or trailers of etcd that the client shall see. */
export function responseMetadata(fields: HeaderFields): Metadata {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (isEndToEnd(name)) kept.push(name, fields[i + 1] as string);
  }
  return kept.length === 0 ? NO_METADATA : new Metadata(kept);
}
