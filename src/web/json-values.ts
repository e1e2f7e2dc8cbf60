/** Takes a body apart that is one JSON value after the other, as its bytes come. What the values are is not looked at. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Opening brackets and braces, which differ from the closing ones by two. */
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);
/** Space, tab, line feed, carriage return. */
const WHITE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

export class JsonValues {
  /** Parts of the value that has begun. */
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** A value has begun that has no brackets; it ends where something else begins. */
  #bare = false;

  /** Bytes of the value that is not complete. */
  get pending(): number {
    return this.#bytes;
  }

  /** The values that are complete with these bytes. */
  push(chunk: Uint8Array): Uint8Array[] {
    const values: Uint8Array[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const end = this.#step(chunk[at] as number, at);
      if (end === undefined) continue;
      this.#keep(chunk.subarray(start, end));
      start = end;
      values.push(this.#take());
      // What ended a bare value is looked at again, as the beginning of something.
      if (end === at) this.#step(chunk[at] as number, at);
    }
    this.#keep(chunk.subarray(start));
    return values.filter((value) => value.some((byte) => !WHITE.has(byte)));
  }

  /** What is left at the end: a bare value, or one that is not complete. Undefined: nothing but white space. */
  rest(): Uint8Array | undefined {
    const rest = this.#take();
    return rest.some((byte) => !WHITE.has(byte)) ? rest : undefined;
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

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
  }

  #take(): Uint8Array {
    const value = this.#parts.length === 1 ? (this.#parts[0] as Uint8Array) : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return value;
  }
}
