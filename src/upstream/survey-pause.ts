/**
 * How long the proxy holds its peace: for a while after an answer, after a survey and after a switch, nothing said against
 * the endpoint in use starts another survey.
 */
import { Backoff } from '../rpc/backoff.ts';

/** For this long after the endpoint in use has answered. Milliseconds. */
const TRUST_MS = 250;
/** The pause after a survey in which no endpoint served, and after a switch. It grows each time. Milliseconds. */
const FIRST_QUIET_MS = 250;
/** The longest such pause while no endpoint serves: the first one that does must be found soon. Milliseconds. */
const LAST_UNSERVED_MS = 1500;
/** The longest such pause after a switch. Milliseconds. */
const LAST_QUIET_MS = 8000;
/** When the last switch is longer ago than this, the pause after a switch starts small again. Milliseconds. */
const LASTED_MS = 60_000;

export class SurveyPause {
  readonly #unserved = new Backoff(FIRST_QUIET_MS, LAST_UNSERVED_MS);
  readonly #switches = new Backoff(FIRST_QUIET_MS, LAST_QUIET_MS);
  #switchedAt = Number.NEGATIVE_INFINITY;
  #until = 0;

  /** Whether it still lasts. */
  get lasts(): boolean {
    return performance.now() < this.#until;
  }

  /** The endpoint in use stays. @param serves it does, or nobody does */
  onStayed(serves: boolean): void {
    this.#begin(serves ? TRUST_MS : this.#unserved.next());
    if (serves) this.onServes();
  }

  /** The endpoint in use was left because it does not serve. */
  onSwitched(): void {
    const now = performance.now();
    if (now - this.#switchedAt > LASTED_MS) this.#switches.reset();
    this.#switchedAt = now;
    this.#begin(this.#switches.next());
  }

  /** An endpoint serves. */
  onServes(): void {
    this.#unserved.reset();
  }

  #begin(ms: number): void {
    this.#until = performance.now() + ms;
  }
}
