/**
 * Messages that take long to rewrite: a part of one of them in each turn of the process, so that many of them together keep
 * others waiting no longer than one does.
 */
import type { KeyRewriting } from './key-rewriting.ts';

interface Job {
  readonly rewriting: KeyRewriting;
  readonly resolve: (message: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

export class Turns {
  readonly #fields: number;
  readonly #jobs: Job[] = [];

  /** @param fields that are looked at in one turn */
  constructor(fields: number) {
    this.#fields = fields;
  }

  /** Ends what was begun. Rejects as {@link KeyRewriting.advance} throws. */
  finish(rewriting: KeyRewriting): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#jobs.push({ rewriting, resolve, reject });
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
      const done = job.rewriting.advance(this.#fields);
      if (done === undefined) this.#jobs.push(job);
      else job.resolve(done);
    } catch (error) {
      job.reject(error);
    }
    if (this.#jobs.length > 0) this.#schedule();
  }
}
