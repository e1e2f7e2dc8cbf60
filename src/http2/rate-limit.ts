/** A token bucket: so many events per second, and a burst of so many at once. */

/** Counts events against a rate. Time is in milliseconds on any monotonic clock. */
export class RateLimit {
  private readonly perMs: number;
  private readonly burst: number;
  private tokens: number;
  private last = 0;

  constructor(perSecond: number, burst: number) {
    this.perMs = perSecond / 1000;
    this.burst = burst;
    this.tokens = burst;
  }

  /** Takes one token; false when the rate is exceeded. */
  take(now: number): boolean {
    if (this.tokens < 1 || now - this.last > 1000) {
      this.tokens = Math.min(this.burst, this.tokens + (now - this.last) * this.perMs);
      this.last = now;
    }
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
