/** The permissions in a `RoleGetResponse`: each read, and some left out or given other ranges. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Scanner } from './scanner.ts';

/** Tags of `RoleGetResponse` and `Permission`. */
const Tag = { perm: 0x12, key: 0x12, rangeEnd: 0x1a } as const;

/** The range of a permission as etcd writes it. */
export interface PermittedRange {
  readonly key: Uint8Array;
  /** Empty: just the key; a zero byte: no end. */
  readonly rangeEnd: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** What a range becomes; `undefined`: the permission is left out. */
export type RangeChange = (range: PermittedRange) => PermittedRange | undefined;

/** A reply in which the permissions have other ranges, made in parts: a role may have very many. */
export class ChangedPermissions {
  readonly #scan: Scanner;
  readonly #change: RangeChange;
  readonly #writer = new BinaryWriter();

  /** @param reply a `RoleGetResponse` */
  constructor(reply: Uint8Array, change: RangeChange) {
    this.#scan = new Scanner(reply);
    this.#change = change;
  }

  /**
   * Looks at so many permissions.
   * @returns the reply; `undefined`: there are more
   * @throws MalformedMessage
   */
  advance(count: number): Uint8Array | undefined {
    const scan = this.#scan;
    const writer = this.#writer;
    for (let left = count; left > 0 && !scan.done; left--) {
      const start = scan.pos;
      const tag = scan.varint();
      if (tag === Tag.perm) {
        const end = scan.delimited();
        const changed = permission(scan.bytes.subarray(scan.pos, end), this.#change);
        if (changed !== undefined) writer.uint32(Tag.perm).bytes(changed);
        scan.pos = end;
      } else {
        scan.skip(tag & 7);
        writer.raw(scan.bytes.subarray(start, scan.pos));
      }
    }
    return scan.done ? writer.finish() : undefined;
  }
}

function permission(message: Uint8Array, change: RangeChange): Uint8Array | undefined {
  const scan = new Scanner(message);
  const rest = new BinaryWriter();
  let key: Uint8Array = NOTHING;
  let rangeEnd: Uint8Array = NOTHING;
  while (!scan.done) {
    const start = scan.pos;
    const tag = scan.varint();
    if (tag === Tag.key || tag === Tag.rangeEnd) {
      const end = scan.delimited();
      const text = scan.bytes.subarray(scan.pos, end);
      if (tag === Tag.key) key = text;
      else rangeEnd = text;
      scan.pos = end;
    } else {
      scan.skip(tag & 7);
      rest.raw(scan.bytes.subarray(start, scan.pos));
    }
  }
  const changed = change({ key, rangeEnd });
  if (changed === undefined) return undefined;
  if (changed.key.length > 0) rest.tag(Tag.key >> 3, WireType.LengthDelimited).bytes(changed.key);
  if (changed.rangeEnd.length > 0)
    rest.tag(Tag.rangeEnd >> 3, WireType.LengthDelimited).bytes(changed.rangeEnd);
  return rest.finish();
}
