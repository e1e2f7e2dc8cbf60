/** Looks for something again and again: at intervals while that goes well, at growing ones while it fails. */
import { Backoff, type BackoffShape } from '../rpc/backoff.ts';
import { LookFailure, type SourceObserver } from './found-endpoints.ts';

/** What is looked for, and when. */
export interface LookingOptions {
  /** The source's name. */
  readonly name: string;
  /**
   * One look.
   * @param signal is aborted when nobody wants to know any more
   * @returns `false` when there is nothing left to look for
   * @throws LookFailure
   */
  look(signal: AbortSignal): Promise<boolean>;
  /** Milliseconds from the end of a look to the next one, more or less a tenth, so that many proxies do not ask in step. */
  readonly interval: number;
  /** Milliseconds to the next look after the first failure; they grow to the longest. */
  readonly retry: { readonly first: number; readonly longest: number; readonly shape?: BackoffShape };
  readonly observer: SourceObserver;
}

/** By which part an interval is shorter or longer. */
const JITTER = 0.1;

export class Looking {
  readonly #options: LookingOptions;
  readonly #retries: Backoff;
  readonly #ended = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LookingOptions) {
    const { first, longest, shape } = options.retry;
    this.#options = options;
    this.#retries = new Backoff(first, longest, shape);
  }

  /** Looks for the first time. */
  start(): void {
    void this.#look();
  }

  /** Looks no more, and ends the look under way. */
  close(): void {
    clearTimeout(this.#timer);
    this.#ended.abort();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { signal } = this.#ended;
    const { look, interval, observer, name } = this.#options;
    let pause: number;
    try {
      if (!(await look(signal))) return;
      this.#retries.reset();
      pause = interval * (1 - JITTER + Math.random() * 2 * JITTER);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LookFailure) observer.onFailed(name, error.message);
      else observer.onFault(error);
      pause = this.#retries.next();
    }
    if (signal.aborted) return;
    this.#timer = setTimeout(() => void this.#look(), pause).unref();
  }
}
