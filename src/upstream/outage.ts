/** Since when there is no connection, and what the latest attempt failed of. */
export class Outage {
  /** Why there is none. */
  cause = 'not connected yet';
  readonly #limitMs: number;
  #since = performance.now();

  /** @param limitMs so long calls wait for the end of it */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The last connection is gone. */
  begin(): void {
    this.#since = performance.now();
  }

  /** Whether it has lasted for longer than calls wait. */
  get isLong(): boolean {
    return performance.now() - this.#since >= this.#limitMs;
  }
}
