/** What is held of etcd's responses for one reason, of all identities together. */
export class HeldBytes {
  bytes = 0;
  readonly #limit: number;
  readonly #onFull: () => void;

  /** @param onFull is told that there is no room */
  constructor(limit: number, onFull: () => void) {
    this.#limit = limit;
    this.#onFull = onFull;
  }

  /** @returns whether there is room for so many bytes more, which are counted then */
  take(bytes: number): boolean {
    if (this.bytes + bytes > this.#limit) {
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
