/**
 * The deadlines of one connection on one timer. Setting and clearing a deadline is a store into an array;
 * the timer is only moved when a deadline is due before it.
 */

/** What a connection waits for. */
export const Deadline = {
  PREFACE: 0,
  SETTINGS_ACK: 1,
  BLOCK: 2,
  WRITE: 3,
  KEEPALIVE: 4,
  KEEPALIVE_ACK: 5,
  IDLE: 6,
  DRAIN: 7,
  FRAME: 8,
  TURNS: 9,
} as const;

const KINDS = 10;
const OFF = Number.POSITIVE_INFINITY;

/** Deadlines, each at most once, in milliseconds. */
export class Watchdog {
  private readonly due: number[] = new Array<number>(KINDS).fill(OFF);
  private readonly expired: (kind: number) => void;
  private timer: NodeJS.Timeout | undefined;
  private timerAt = OFF;

  /** @param expired called once for each deadline that passed */
  constructor(expired: (kind: number) => void) {
    this.expired = expired;
  }

  /** Sets a deadline `ms` from `now` (as of `performance.now()`), replacing one of its kind; 0 sets none. */
  arm(kind: number, ms: number, now: number): void {
    if (ms <= 0) return;
    this.due[kind] = now + ms;
    if (now + ms < this.timerAt) this.startTimer(ms, now);
  }

  /** Drops a deadline. */
  disarm(kind: number): void {
    this.due[kind] = OFF;
  }

  /** True while a deadline of this kind is set. */
  armed(kind: number): boolean {
    return this.due[kind] !== OFF;
  }

  /** Drops all deadlines and the timer. */
  stop(): void {
    this.due.fill(OFF);
    clearTimeout(this.timer);
    this.timerAt = OFF;
  }

  private startTimer(ms: number, now: number): void {
    clearTimeout(this.timer);
    this.timerAt = now + ms;
    // What has arrived is read first: after a time in which the process stood still, it would all look late.
    this.timer = setTimeout(() => setImmediate(() => this.fire()), ms);
    this.timer.unref();
  }

  private fire(): void {
    this.timerAt = OFF;
    const now = performance.now();
    for (let kind = 0; kind < KINDS; kind++) {
      if ((this.due[kind] as number) > now + 0.5) continue;
      this.due[kind] = OFF;
      this.expired(kind);
    }
    const next = Math.min(...this.due);
    const later = Math.max(1, next - performance.now());
    if (next < this.timerAt) this.startTimer(later, performance.now());
  }
}
