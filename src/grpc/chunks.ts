/** The parts of a message that is not complete. They cost little more than their bytes, however small they are. */

/**
 * A shorter part is copied, and one that is a smaller share of its memory: a slice keeps all of that alive, be it what was
 * read from the socket or what Node.js cuts small buffers from.
 */
const COPY_BELOW = 4096;
const SHARE = 1 / 5;
const FIRST_BLOCK = 256;

/** Bytes that arrive in parts and are needed as a whole. */
export class Chunks {
  /** Bytes so far. */
  length = 0;
  #parts: Buffer[] = [];
  /** Where short parts are collected, after all others. */
  #block: Buffer | undefined = undefined;
  #used = 0;
  #blockSize = FIRST_BLOCK;

  /** Adds a part, which must not change. */
  add(part: Buffer): void {
    this.length += part.length;
    if (part.length >= COPY_BELOW && part.length >= SHARE * part.buffer.byteLength) {
      this.#seal();
      this.#parts.push(part);
      return;
    }
    if (this.#block === undefined || this.#used + part.length > this.#block.length) {
      this.#seal();
      this.#block = Buffer.allocUnsafeSlow(Math.max(this.#blockSize, part.length));
      this.#blockSize = Math.min(4 * this.#blockSize, COPY_BELOW);
    }
    this.#used += part.copy(this.#block, this.#used);
  }

  /** The first `count` bytes, of which there must be so many. */
  front(count: number): Buffer {
    const first = this.#parts[0] ?? (this.#block as Buffer).subarray(0, this.#used);
    return first.length >= count ? first : this.#join();
  }

  /** Takes everything out as one. */
  take(): Buffer {
    const whole = this.#join();
    this.#parts = [];
    this.length = 0;
    return whole;
  }

  #join(): Buffer {
    this.#seal();
    const whole =
      this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.length);
    this.#parts = [whole];
    return whole;
  }

  #seal(): void {
    if (this.#block !== undefined) this.#parts.push(this.#block.subarray(0, this.#used));
    this.#block = undefined;
    this.#used = 0;
  }
}
