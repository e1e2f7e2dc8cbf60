/**
 * One version of a key, as etcd sent it. The encoded KeyValue stays what it is, so that fields which this program does
 * not know survive; the few numbers that filters and sorts need are read out once.
 */
import { textField } from '../etcd/field-text.ts';
import { SortTarget } from '../etcd/range-request.ts';
import { KVS_TAG, KeyValueTag as Tag } from '../etcd/range-response.ts';
import { Scanner } from '../etcd/scanner.ts';

/** What a version costs beside its strings: the object, its places in a chunk and in the log. Bytes. */
const OBJECT_BYTES = 120;
/** What a string costs beside its characters. Bytes. */
const STRING_BYTES = 24;

export class Version {
  readonly key: string;
  readonly modRevision: number;
  readonly createRevision: number;
  /** etcd's count of the changes since the key was made. */
  readonly version: number;
  /** The KeyValue with tag and length as a latin1 string, ready to be a part of a reply. Empty: a deletion. */
  readonly field: string;
  /** The version before, as long as reads may need it. */
  older: Version | undefined = undefined;

  constructor(key: string, modRevision: number, createRevision: number, version: number, field: string) {
    this.key = key;
    this.modRevision = modRevision;
    this.createRevision = createRevision;
    this.version = version;
    this.field = field;
  }

  /** Whether the key is there in this version. */
  get exists(): boolean {
    return this.field !== '';
  }

  /** The memory it stands for, in bytes. */
  get cost(): number {
    return OBJECT_BYTES + 2 * STRING_BYTES + this.key.length + this.field.length;
  }

  /** The value, latin1. */
  get value(): string {
    const scan = bodyOf(this.field);
    while (!scan.done) {
      const tag = scan.varint();
      if (tag === Tag.value) {
        const end = scan.delimited();
        return scan.bytes.toString('latin1', scan.pos, end);
      }
      scan.skip(tag & 7);
    }
    return '';
  }

  /** What it is sorted by, or compared with: see {@link SortTarget}. Not for the key. */
  attribute(target: number): number | string {
    if (target === SortTarget.value) return this.value;
    if (target === SortTarget.mod) return this.modRevision;
    if (target === SortTarget.create) return this.createRevision;
    return this.version;
  }

  /** Whether it hangs on a lease. */
  get leased(): boolean {
    const scan = bodyOf(this.field);
    while (!scan.done) {
      const tag = scan.varint();
      if (tag === Tag.lease) return true;
      scan.skip(tag & 7);
    }
    return false;
  }

  /** {@link field} without the value. */
  get keyOnlyField(): string {
    const scan = bodyOf(this.field);
    let kept = '';
    while (!scan.done) {
      const from = scan.pos;
      const tag = scan.varint();
      scan.skip(tag & 7);
      if (tag !== Tag.value) kept += scan.bytes.toString('latin1', from, scan.pos);
    }
    return textField(KVS_TAG, kept);
  }
}

/**
 * Reads the KeyValue whose field lies in `bytes` from `start` to `end`, tag and length included. Copies what it keeps.
 * @throws MalformedMessage
 */
export function readVersion(bytes: Buffer, start: number, end: number): Version {
  const scan = new Scanner(bytes, start + 1, end);
  scan.varint();
  let key = '';
  let modRevision = 0;
  let createRevision = 0;
  let version = 0;
  while (!scan.done) {
    const tag = scan.varint();
    if (tag === Tag.key) {
      const keyEnd = scan.delimited();
      key = bytes.toString('latin1', scan.pos, keyEnd);
      scan.pos = keyEnd;
    } else if (tag === Tag.modRevision) modRevision = scan.int64();
    else if (tag === Tag.createRevision) createRevision = scan.int64();
    else if (tag === Tag.version) version = scan.int64();
    else scan.skip(tag & 7);
  }
  return new Version(key, modRevision, createRevision, version, bytes.toString('latin1', start, end));
}

/** Reads the KeyValue that an event puts; the event's field lies in `bytes` from `start` to `end`. @throws MalformedMessage */
export function readPut(bytes: Buffer, start: number, end: number): Version {
  const scan = new Scanner(bytes, start + 1, end);
  scan.varint();
  for (;;) {
    const from = scan.pos;
    const tag = scan.varint();
    scan.skip(tag & 7);
    if (tag === KVS_TAG) return readVersion(bytes, from, scan.pos);
  }
}

/** The version that says that a key was deleted. */
export function deletion(key: string, revision: number): Version {
  return new Version(key, revision, 0, 0, '');
}

/** A scanner on the KeyValue within its field. */
function bodyOf(field: string): Scanner {
  const scan = new Scanner(Buffer.from(field, 'latin1'), 1);
  scan.varint();
  return scan;
}
