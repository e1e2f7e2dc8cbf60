/**
 * Replies that were translated lately, by the object that they were: what many clients get, the events of a watch or the
 * answer to a read that they share, is translated once and leaves as one object for all of them.
 */
import type { NamespaceStats } from './stats.ts';

/** A message, or one that is there later. */
export type Translated = Uint8Array | Promise<Uint8Array>;

/** What is kept, before and after translation, in bytes each; larger ones than half of it only for those of the same turn. */
const KEPT_BYTES = 8 << 20;
/** How long; at most twice as long. Milliseconds. */
const KEPT_MS = 1000;

export class SharedReplies {
  readonly #stats: NamespaceStats;
  /** Two halves: when the younger one is full or has its time, the older one goes. */
  #young = new Map<Uint8Array, Uint8Array>();
  #youngBytes = 0;
  #old = new Map<Uint8Array, Uint8Array>();
  /** Those that are being translated, or too large to be kept longer than for this turn. */
  readonly #passing = new Map<Uint8Array, Translated>();
  #timer: NodeJS.Timeout | undefined;

  constructor(stats: NamespaceStats) {
    this.#stats = stats;
  }

  get(message: Uint8Array): Translated | undefined {
    const known = this.#young.get(message) ?? this.#old.get(message) ?? this.#passing.get(message);
    if (known !== undefined) this.#stats.found++;
    return known;
  }

  /** Keeps what a message becomes. @returns the form of it that all get */
  add(message: Uint8Array, translated: Translated): Translated {
    this.#stats.translated++;
    if (!(translated instanceof Promise)) {
      const own = inMemoryOfItsOwn(translated);
      this.#keep(message, own);
      return own;
    }
    const own = translated.then(inMemoryOfItsOwn);
    this.#passing.set(message, own);
    const over = (): boolean => this.#passing.delete(message);
    own.then((done) => {
      over();
      this.#keep(message, done);
    }, over);
    return own;
  }

  #keep(message: Uint8Array, translated: Uint8Array): void {
    const { length } = message;
    if (length > KEPT_BYTES / 2) {
      this.#stats.forgotten++;
      this.#passing.set(message, translated);
      setImmediate(() => this.#passing.delete(message));
      return;
    }
    if (this.#youngBytes + length > KEPT_BYTES / 2) {
      this.#stats.forgotten += this.#old.size;
      this.#age();
    }
    this.#young.set(message, translated);
    this.#youngBytes += length;
    this.#timer ??= setTimeout(() => this.#onTime(), KEPT_MS).unref();
  }

  #age(): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }

  #onTime(): void {
    this.#age();
    this.#timer = this.#old.size > 0 ? setTimeout(() => this.#onTime(), KEPT_MS).unref() : undefined;
  }
}

/** Where many wait to be written, a slice of a buffer that has more in it would be copied for each of them (`http2/byte-queue.ts`). */
function inMemoryOfItsOwn(bytes: Uint8Array): Uint8Array {
  if (bytes.length === bytes.buffer.byteLength) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}
