/** A reply of etcd to a Range, taken apart as far as the cache needs it. */

import { HEADER_TAG, type Header, readHeader } from '../etcd/header.ts';
import { MalformedMessage, Scanner } from '../etcd/scanner.ts';

/** A reply with its header read; the body stays encoded. */
export interface ParsedReply {
  readonly message: Uint8Array;
  readonly header: Header;
  /** Where what follows the header begins. */
  readonly body: number;
}

/** Takes a reply apart; `undefined` for one that does not begin with a header, as etcd's do. */
export function parseReply(message: Uint8Array): ParsedReply | undefined {
  try {
    const scan = new Scanner(message);
    if (scan.done || scan.varint() !== HEADER_TAG) return undefined;
    const body = scan.delimited();
    return { message, header: readHeader(scan.bytes.subarray(scan.pos, body)), body };
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}
