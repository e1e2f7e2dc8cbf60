/**
 * Items that wait for something, each equally long at most. They expire in the order in which they came, so one timer
 * looks after the oldest.
 */
export class WaitingLine<T extends object> {
  readonly #waitMs: number;
  readonly #onExpired: (item: T) => void;
  /** Until when each waits, in milliseconds of `performance.now()`. */
  readonly #until = new Map<T, number>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param waitMs how long one waits at most, in milliseconds
   * @param onExpired is called with what has waited long enough, and is in line no more
   */
  constructor(waitMs: number, onExpired: (item: T) => void) {
    this.#waitMs = waitMs;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#until.size;
  }

  has(item: T): boolean {
    return this.#until.has(item);
  }

  /** To the end of the line. */
  add(item: T): void {
    this.#until.set(item, performance.now() + this.#waitMs);
    this.#timer ??= setTimeout(() => this.#sweep(), this.#waitMs).unref();
  }

  /** It waits no longer. @returns whether it did */
  delete(item: T): boolean {
    return this.#until.delete(item);
  }

  /** Takes the one that has waited longest. */
  shift(): T | undefined {
    const [first] = this.#until.keys();
    if (first !== undefined) this.#until.delete(first);
    return first;
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = performance.now();
    const expired: T[] = [];
    for (const [item, until] of this.#until) {
      if (until > now) {
        this.#timer = setTimeout(() => this.#sweep(), until - now).unref();
        break;
      }
      expired.push(item);
    }
    // Each may take others out of the line.
    for (const item of expired) if (this.#until.delete(item)) this.#onExpired(item);
  }
}
