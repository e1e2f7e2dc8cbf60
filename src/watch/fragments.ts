/** Splits responses for clients that asked for it, where etcd would. */

import { HEADER_TAG, headerField } from '../etcd/header.ts';
import { Scanner } from '../etcd/scanner.ts';
import { FRAGMENT_FIELD } from '../etcd/watch-reply.ts';
import type { Batch } from './batch.ts';

/** What was split last, for the others that get the same in this turn. */
let latest:
  | { readonly key: readonly [Buffer, number, number]; readonly parts: readonly Buffer[] }
  | undefined;

/** {@link split}, once for all that get the same in one turn. */
export function splitTail(tail: Batch['bytes'], headLength: number, limit: number): readonly Buffer[] {
  const of = latest?.key;
  if (latest !== undefined && of?.[0] === tail && of[1] === headLength && of[2] === limit)
    return latest.parts;
  if (latest === undefined)
    queueMicrotask(() => {
      latest = undefined;
    });
  latest = { key: [tail, headLength, limit], parts: split(tail, headLength, limit) };
  return latest.parts;
}

/**
 * Splits header and events into the same of smaller size: every part has the header, all but the last say that they
 * are fragments, and each has at least one event.
 */
function split(tail: Batch['bytes'], headLength: number, limit: number): Buffer[] {
  const scan = new Scanner(tail);
  let header: Uint8Array = headerField(new Uint8Array(0));
  const parts: Buffer[][] = [[]];
  let size = 0;
  while (!scan.done) {
    const start = scan.pos;
    const tag = scan.varint();
    scan.skip(tag & 7);
    const field = tail.subarray(start, scan.pos);
    if (tag === HEADER_TAG) {
      header = field;
      size = headLength + field.length + FRAGMENT_FIELD.length;
      continue;
    }
    const part = parts[parts.length - 1] as Buffer[];
    if (part.length > 0 && size + field.length >= limit) {
      parts.push([field]);
      size = headLength + header.length + FRAGMENT_FIELD.length + field.length;
    } else {
      part.push(field);
      size += field.length;
    }
  }
  const last = parts.length - 1;
  return parts.map((events, i) =>
    Buffer.concat(i < last ? [header, FRAGMENT_FIELD, ...events] : [header, ...events]),
  );
}
