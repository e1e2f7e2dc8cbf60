/** A token bucket: so many events per second, and a burst of so many at once. */

/** Debt that is remembered, in seconds of the rate: how long a peer pays for a single excess at most. */
const MOST_DEBT_S = 20;

/** Counts events against a rate. Time is in milliseconds on any monotonic clock. */
export class RateLimit {
  private readonly perMs: number;
  private readonly burst: number;
  private tokens: number;
  private last: number;

  /** @param perSecond events a second; 0: as many as come */
  constructor(perSecond: number, burst: number, now: number) {
    this.perMs = perSecond / 1000;
    this.burst = burst;
    this.tokens = burst;
    this.last = now;
  }

  /** Counts an event that weighs as much as so many; false when the rate is exceeded. What exceeds it is owed. */
  take(now: number, weight = 1): boolean {
    if (this.perMs === 0) return true;
    if (this.tokens < weight || now - this.last > 1000) this.refill(now);
    this.tokens = Math.max(this.tokens - weight, -1000 * MOST_DEBT_S * this.perMs);
    return this.tokens >= 0;
  }

  /** True when the next event would not exceed the rate. */
  hasRoom(now: number): boolean {
    this.refill(now);
    return this.tokens >= 1;
  }

  private refill(now: number): void {
    this.tokens = Math.min(this.burst, this.tokens + (now - this.last) * this.perMs);
    this.last = now;
  }
}
