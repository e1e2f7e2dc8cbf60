/**
 * Notices when an endpoint leaves calls unanswered. Clients without deadlines give no other sign, and etcd's own words
 * come after seven seconds.
 */
import { LATE_MS } from './patience.ts';

/** So long may a call wait for its answer, in milliseconds, before the endpoint is asked whether it serves. */
export const SILENT_MS = 1000;
/** How often is looked. Milliseconds. */
const LOOK_MS = 200;

/** Looks at the calls under way as long as there are any. */
export class SilenceDetector {
  readonly #since: () => number;
  readonly #silent: () => void;
  #timer: NodeJS.Timeout | undefined;
  #due = 0;
  /** Silence from before this moment does not count. */
  #countsFrom = 0;

  /**
   * @param since since when a call has been waiting, in milliseconds of `performance.now()`; `Infinity` when none is
   * @param silent is called when one has been waiting for {@link SILENT_MS}, and again after as long
   */
  constructor(since: () => number, silent: () => void) {
    this.#since = since;
    this.#silent = silent;
  }

  /** A call was sent. */
  heed(): void {
    if (this.#timer === undefined) this.#start();
  }

  /** What was unanswered so far is settled: counting starts anew. */
  forgive(): void {
    this.#countsFrom = performance.now();
  }

  /** Stops looking. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #start(): void {
    this.#due = performance.now() + LOOK_MS;
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  #look(): void {
    this.#timer = undefined;
    const since = this.#since();
    if (since === Number.POSITIVE_INFINITY) return;
    const now = performance.now();
    if (now - this.#due > LATE_MS) this.#countsFrom = now;
    this.#start();
    if (now - Math.max(since, this.#countsFrom) < SILENT_MS) return;
    this.#countsFrom = now;
    this.#silent();
  }
}
