/** What has to wait behind a message that is not translated yet, in its order. */

export class TranslationQueue {
  readonly #steps: (() => void)[] = [];
  readonly #onFree: () => void;
  #busy = false;

  /** @param onFree nothing waits any more */
  constructor(onFree: () => void) {
    this.#onFree = onFree;
  }

  /** Whether something waits, so that whatever comes next has to. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Does something when what waits now has been done. */
  add(step: () => void): void {
    this.#steps.push(step);
  }

  /** Has everything wait for a message. */
  wait(
    translated: Promise<Uint8Array>,
    take: (message: Uint8Array) => void,
    fail: (error: unknown) => void,
  ): void {
    this.#busy = true;
    void translated.then(take, fail).finally(() => this.#goOn());
  }

  #goOn(): void {
    this.#busy = false;
    for (let step = this.#steps.shift(); step !== undefined; step = this.#steps.shift()) {
      step();
      if (this.#busy) return;
    }
    this.#onFree();
  }
}
