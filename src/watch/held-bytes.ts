/** What may be held back of watches that move from one stream to another, of all identities together. */

/** So many bytes of events; a watch that brings more moves later. */
const MAX_BYTES = 16 << 20;

export class HeldBytes {
  bytes = 0;
  readonly #onFull: () => void;

  /** @param onFull is told that there is no room */
  constructor(onFull: () => void) {
    this.#onFull = onFull;
  }

  /** @returns whether there is room for so many bytes more, which are counted then */
  take(bytes: number): boolean {
    if (this.bytes + bytes > MAX_BYTES) {
      this.#onFull();
      return false;
    }
    this.bytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.bytes -= bytes;
  }
}
