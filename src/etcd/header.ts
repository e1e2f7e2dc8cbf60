/**
 * `ResponseHeader`, which every reply of etcd begins with: which member of which cluster answered, and its revision. Read,
 * written, and given another revision.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { textField, varintText } from './field-text.ts';
import { Scanner } from './scanner.ts';

/** The tag of the field `header`, which is the first one of every reply. */
export const HEADER_TAG = 0x0a;

/** Tags of its fields, with their wire types. */
const Tag = { cluster: 0x08, member: 0x10, revision: 0x18 } as const;

/** The header of a response. */
export interface Header {
  /** The encoded message. */
  readonly bytes: Uint8Array;
  readonly revision: number;
  /** Which cluster answered; exact enough to tell clusters apart. */
  readonly cluster: string;
  /** Which member answered; exact enough to tell members apart. */
  readonly member: string;
}

/** A header that says nothing. */
export const NO_HEADER: Header = { bytes: new Uint8Array(0), revision: 0, cluster: '', member: '' };

/** Reads an encoded ResponseHeader. */
export function readHeader(bytes: Uint8Array): Header {
  const scan = new Scanner(bytes);
  let revision = 0;
  let cluster = '';
  let member = '';
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === Tag.revision) revision = scan.int64();
    else if (tag === Tag.member) member = scan.rawVarint();
    else if (tag === Tag.cluster) cluster = scan.rawVarint();
    else scan.skip(tag & 7);
  }
  return { bytes: Uint8Array.prototype.slice.call(bytes), revision, cluster, member };
}

/** The header of any response of etcd: all have it as their first field. */
export function headerOf(message: Uint8Array): Header {
  const scan = new Scanner(message);
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === HEADER_TAG) {
      const end = scan.delimited();
      return readHeader(scan.bytes.subarray(scan.pos, end));
    }
    scan.skip(tag & 7);
  }
  return NO_HEADER;
}

/**
 * The same header with another revision, its fields in their order: a proxy in front of this one finds the revision where
 * etcd has it ({@link HeaderPlace}).
 */
export function withRevision(header: Header, revision: number): Header {
  if (header.revision === revision) return header;
  const scan = new Scanner(header.bytes);
  const writer = new BinaryWriter();
  let missing = revision !== 0;
  while (!scan.done) {
    const start = scan.pos;
    const tag = scan.varint();
    scan.skip(tag & 7);
    if (missing && tag >= Tag.revision) {
      writer.uint32(Tag.revision).int64(revision);
      missing = false;
    }
    if (tag !== Tag.revision) writer.raw(header.bytes.subarray(start, scan.pos));
  }
  if (missing) writer.uint32(Tag.revision).int64(revision);
  return readHeader(writer.finish());
}

/** `header` of a response as a field. */
export function headerField(header: Uint8Array): Uint8Array {
  return new BinaryWriter().uint32(HEADER_TAG).bytes(header).finish();
}

/** The same as text, for replies that are put together of texts. */
export function headerFieldText(header: Uint8Array): string {
  return textField(HEADER_TAG, Buffer.from(header).toString('latin1'));
}

/** The field of a header that has the revision and nothing else, as within transactions; text as well. */
export function revisionFieldText(revision: number): string {
  return textField(HEADER_TAG, varintText(Tag.revision, revision));
}

/** Every byte of a varint but the last is at least this. */
const CONTINUED = 0x80;

/**
 * Where the header of a message lies, for whoever reads that of every reply: one object for all messages, and nothing is
 * made for one. It understands headers as etcd writes them, the fields in their order.
 */
export class HeaderPlace {
  /** `cluster_id` as it is written is between the two. */
  cluster = 0;
  clusterEnd = 0;
  revision = 0;

  /**
   * Looks for the header of a message.
   * @param levels on how many it may lie: `RangeStreamResponse` has it one down, as the first field of its first field
   * @returns `false` when there is none, or when it does not say all of cluster, member and revision
   */
  find(message: Uint8Array, levels: number): boolean {
    let at = 0;
    for (let depth = 0; depth < levels; depth++) {
      if (message[at] !== HEADER_TAG) return false;
      at = varintEnd(message, at + 1);
      if (message[at] === Tag.cluster) return this.#read(message, at + 1);
    }
    return false;
  }

  #read(message: Uint8Array, cluster: number): boolean {
    const clusterEnd = varintEnd(message, cluster);
    if (message[clusterEnd] !== Tag.member) return false;
    const at = varintEnd(message, clusterEnd + 1);
    if (message[at] !== Tag.revision) return false;
    this.cluster = cluster;
    this.clusterEnd = clusterEnd;
    this.revision = varintAt(message, at + 1);
    return true;
  }
}

/** `header.cluster_id` of a reply, in hex; `undefined` where there is none. */
export function clusterInHex(message: Uint8Array): string | undefined {
  // The header is the first field and short; the id is the first field in it.
  if (message[0] !== HEADER_TAG || message[2] !== Tag.cluster) return undefined;
  return Buffer.from(message.subarray(3, varintEnd(message, 3))).toString('hex');
}

/** The varint that starts at a position; revisions fit into a number. */
function varintAt(message: Uint8Array, start: number): number {
  let value = 0;
  let scale = 1;
  let at = start;
  for (let byte = CONTINUED; byte >= CONTINUED; scale *= CONTINUED) {
    byte = message[at++] ?? 0;
    value += (byte & 0x7f) * scale;
  }
  return value;
}

/** Where the varint that starts at a position ends; the end of the message where it is cut off. */
function varintEnd(message: Uint8Array, start: number): number {
  let at = start;
  while ((message[at] as number) >= CONTINUED) at++;
  return at + 1;
}
