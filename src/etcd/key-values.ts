/** The keys in a RangeResponse, for what the proxy reads of etcd for itself. */
import { KeyValueTag, KVS_TAG } from './range-response.ts';
import { Scanner } from './scanner.ts';

/** A key as far as it matters here. */
export interface KeyValue {
  /** Read as UTF-8. */
  readonly value: string;
  readonly createRevision: number;
}

/** All of them. @throws MalformedMessage */
export function keyValuesIn(reply: Uint8Array): KeyValue[] {
  const found: KeyValue[] = [];
  const scan = new Scanner(reply);
  while (!scan.done) {
    const tag = scan.varint();
    if (tag !== KVS_TAG) {
      scan.skip(tag & 7);
      continue;
    }
    const end = scan.delimited();
    found.push(keyValue(new Scanner(reply, scan.pos, end)));
    scan.pos = end;
  }
  return found;
}

function keyValue(scan: Scanner): KeyValue {
  let value = '';
  let createRevision = 0;
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === KeyValueTag.value) {
      const end = scan.delimited();
      value = scan.bytes.toString('utf8', scan.pos, end);
      scan.pos = end;
    } else if (tag === KeyValueTag.createRevision) createRevision = scan.varint();
    else scan.skip(tag & 7);
  }
  return { value, createRevision };
}
