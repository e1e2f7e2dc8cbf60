/**
 * The messages of a streaming read that somebody waits for, and who waits for which. Each message is kept once, until
 * nobody waits for it or one before it. A step costs the same however many wait, and however many messages are kept.
 */

/** What all streaming reads may keep for those of their clients that lag. */
export interface HeldMessages {
  /** Bytes kept now. */
  bytes: number;
  /** Bytes that may be kept; the one message that clients are being sent comes on top. */
  readonly limit: number;
}

const NONE: ReadonlySet<never> = new Set<never>();

export class Backlog<Waiter> {
  readonly #held: HeldMessages;
  /** By their numbers, which have no gaps. */
  readonly #messages = new Map<number, Uint8Array>();
  /** By the number of the message, which may be the next one that comes. */
  readonly #waiting = new Map<number, Set<Waiter>>();
  /** The number of the first message that is kept, or will be. */
  #first = 0;

  /** @param held counts what is kept here too */
  constructor(held: HeldMessages) {
    this.#held = held;
  }

  /** How many messages are kept. */
  get length(): number {
    return this.#messages.size;
  }

  /** Those who wait for the first message. */
  get slowest(): ReadonlySet<Waiter> {
    return this.#waiting.get(this.#first) ?? NONE;
  }

  /** The next message has come. It is kept until {@link trim}, also where nobody waits for it. */
  add(message: Uint8Array): void {
    this.#messages.set(this.#first + this.#messages.size, message);
    this.#held.bytes += message.length;
  }

  /** The message of a number, the first one that came being 0; `undefined`: it has not come, or is not kept any more. */
  at(number: number): Uint8Array | undefined {
    return this.#messages.get(number);
  }

  /** Somebody who waits nowhere waits for the message of a number, and so for all that follow. */
  wait(waiter: Waiter, number: number): void {
    const found = this.#waiting.get(number);
    if (found === undefined) this.#waiting.set(number, new Set([waiter]));
    else found.add(waiter);
  }

  /** Somebody waits for the message of a number no more. */
  leave(waiter: Waiter, number: number): void {
    const found = this.#waiting.get(number);
    if (found?.delete(waiter) && found.size === 0) this.#waiting.delete(number);
  }

  /** Forgets the messages that nobody waits for. */
  trim(): void {
    for (;;) {
      const message = this.#messages.get(this.#first);
      if (message === undefined || this.#waiting.has(this.#first)) return;
      this.#messages.delete(this.#first);
      this.#held.bytes -= message.length;
      this.#first++;
    }
  }
}
