/**
 * Faults of the program, where they surface: counted, and logged with their stack, of each place once in a while.
 * Reporting one is the last thing that can be done about it, so it must not fail.
 */
import type { Logger } from 'pino';
import { QUIET_MS, Throttles } from './throttle.ts';

/** Frames of a stack that tell places apart. */
const FRAMES = 4;

/** Stacks that are looked at in a second: to write one down takes up to 0.3 ms. */
const STACKS_PER_SECOND = 100;

/** Takes what was thrown and nobody caught. */
export class Faults {
  /** All of them, logged or not. */
  count = 0;
  readonly #log: Logger;
  /** By the place that faults come from. */
  readonly #throttles = new Throttles(QUIET_MS);
  #second = 0;
  #stacks = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Counts it and logs it, as the bug it is. Never throws, whatever was thrown.
   * @param where further fields of the line
   */
  report(error: unknown, where: object = {}): void {
    this.count++;
    if (!this.#mayLook()) return;
    try {
      const text = describe(error);
      this.#throttles.line(placeOf(text), (suppressed) =>
        this.#log.error({ error: text, ...where, suppressed, faults: this.count }, 'fault while serving'),
      );
    } catch {
      // It is counted; what could tell more has failed as well.
    }
  }

  #mayLook(): boolean {
    const second = Math.trunc(performance.now() / 1000);
    if (second !== this.#second) this.#stacks = 0;
    this.#second = second;
    return ++this.#stacks <= STACKS_PER_SECOND;
  }
}

/** The stack, else what can be said of it. */
function describe(error: unknown): string {
  try {
    return error instanceof Error && typeof error.stack === 'string' ? error.stack : String(error);
  } catch {
    return 'something that cannot be written down';
  }
}

/** The frames, without the message: that may be another one each time. Without frames, the text. */
function placeOf(text: string): string {
  const frames = text.split('\n').filter((line) => line.startsWith('    at '));
  return frames.length === 0 ? text.slice(0, 200) : frames.slice(0, FRAMES).join('\n');
}
