/**
 * Work that takes long: a part of one piece of it in each turn of the process, so that many of them together keep others
 * waiting no longer than one does.
 */

/** Work that can be done in parts. */
export interface Piecework<T> {
  /**
   * Goes on. @param visits how much is looked at, at most @returns the result once it is there
   * @throws whatever is wrong with what it looks at
   */
  advance(visits: number): T | undefined;
}

interface Job<T> {
  readonly work: Piecework<T>;
  readonly resolve: (result: T) => void;
  readonly reject: (error: unknown) => void;
}

/** Fields of a message that are looked at before others have their turn; about a millisecond. */
export const FIELDS_PER_TURN = 4096;

export class RoundRobin<T> {
  readonly #jobs: Job<T>[] = [];

  /** Does it at once where that is quick, else in turns with others. @throws as {@link Piecework.advance} does */
  run(work: Piecework<T>): T | Promise<T> {
    return work.advance(FIELDS_PER_TURN) ?? this.finish(work);
  }

  /** Ends what was begun. Rejects as {@link Piecework.advance} throws. */
  finish(work: Piecework<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#jobs.push({ work, resolve, reject });
      if (this.#jobs.length === 1) this.#schedule();
    });
  }

  #schedule(): void {
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const job = this.#jobs.shift();
    if (job === undefined) return;
    try {
      const done = job.work.advance(FIELDS_PER_TURN);
      if (done === undefined) this.#jobs.push(job);
      else job.resolve(done);
    } catch (error) {
      job.reject(error);
    }
    if (this.#jobs.length > 0) this.#schedule();
  }
}
