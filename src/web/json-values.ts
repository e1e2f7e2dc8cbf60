/** Takes a body apart that is one JSON value after the other, as its bytes come. What the values are is not looked at. */
import { GrownBytes } from './grown-bytes.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Opening brackets and braces, which differ from the closing ones by two. */
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);
/** Space, tab, line feed, carriage return. */
const WHITE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

export class JsonValues {
  /** What there is of the value that has begun. */
  readonly #begun = new GrownBytes();
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** A value has begun that has no brackets; it ends where something else begins. */
  #bare = false;

  /** Bytes of the value that is not complete. */
  get pending(): number {
    return this.#begun.length;
  }

  /** The values that are complete with these bytes, each found when it is asked for, without white space before it. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      // Where no value has begun there is nothing to keep.
      if (start === at && this.#begun.length === 0 && WHITE.has(byte)) {
        start = at + 1;
        continue;
      }
      const end = this.#step(byte, at);
      if (end === undefined) continue;
      yield this.#whole(chunk.subarray(start, end));
      start = end;
      // What ended a bare value is looked at again, as the beginning of something.
      if (end === at) at--;
    }
    if (start < chunk.length) this.#begun.append(chunk.subarray(start));
  }

  /** What is left at the end: a bare value, or one that is not complete. Undefined: nothing but white space. */
  rest(): Uint8Array | undefined {
    return this.#begun.length === 0 ? undefined : this.#begun.take();
  }

  /** Where a value ends, if this byte ends one. */
  #step(byte: number, at: number): number | undefined {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        if (this.#depth === 0) return at + 1;
      }
      return undefined;
    }
    const opens = byte === QUOTE || OPENING.has(byte);
    if (this.#bare && (opens || WHITE.has(byte))) {
      this.#bare = false;
      return at;
    }
    if (byte === QUOTE) this.#inString = true;
    else if (OPENING.has(byte)) this.#depth++;
    else if (CLOSING.has(byte)) {
      // One that closes nothing is a value by itself, and a wrong one.
      this.#depth = Math.max(0, this.#depth - 1);
      this.#bare = false;
      if (this.#depth === 0) return at + 1;
    } else if (this.#depth === 0 && !WHITE.has(byte)) this.#bare = true;
    return undefined;
  }

  /** The value that ends with this part. */
  #whole(part: Uint8Array): Uint8Array {
    if (this.#begun.length === 0) return part;
    this.#begun.append(part);
    return this.#begun.take();
  }
}
