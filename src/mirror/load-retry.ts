/** When a mirror that does not serve is loaded again: soon after a failure, much later when little will have changed. */
import { RetryDelay } from '../rpc/retry-delay.ts';

/** After a refusal, in milliseconds. */
const REFUSED_MS = 30_000;
/** After the keys took too much memory, in milliseconds. */
const OVER_MS = 300_000;

/** Why a mirror does not serve: see `MirrorState`. */
export type LoadFailure = 'loading' | 'over' | 'refused';

export class LoadRetry {
  readonly #delay = new RetryDelay();
  #timer: NodeJS.Timeout | undefined;

  /** Calls back once after a while, which it returns in milliseconds; jittered, so that mirrors do not load in step. */
  after(state: LoadFailure, load: () => void): number {
    const jitter = 0.5 + Math.random();
    const ms =
      state === 'over' ? OVER_MS * jitter : state === 'refused' ? REFUSED_MS * jitter : this.#delay.next();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(load, ms);
    this.#timer.unref();
    return ms;
  }

  /** A load was a success. */
  reset(): void {
    this.#delay.reset();
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
