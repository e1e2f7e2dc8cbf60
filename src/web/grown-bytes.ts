/**
 * Bytes that come in parts, however small: a copy of them in one piece of memory. A part that is kept by itself takes more
 * than a hundred bytes for one, and may keep alive all that was read together with it.
 */
export class GrownBytes {
  #bytes: Buffer | undefined;
  #length = 0;

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** Adds a part. */
  append(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (this.#bytes === undefined) this.#bytes = Buffer.allocUnsafe(length);
    else if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.#length);
    this.#length = length;
  }

  /** All of them; none are left. */
  take(): Uint8Array {
    const taken = this.#bytes?.subarray(0, this.#length) ?? NONE;
    this.#bytes = undefined;
    this.#length = 0;
    return taken;
  }
}

const NONE = new Uint8Array(0);
