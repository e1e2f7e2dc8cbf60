/** Client role: who has to go when too much is kept for paused streams. */
import { ErrorCode } from './errors.ts';
import type { LimitName } from './settings.ts';

/** A stream that may be paused. */
interface Paused {
  readonly input: { readonly waitingSince: number };
  tooSlow: boolean;
  reset(code: number): void;
}

/** The connection that they are on. */
interface PausedStreams {
  readonly table: { values(): Iterable<Paused> };
  readonly reports: { reached(limit: LimitName): void };
}

/**
 * The stream that has been paused for longest goes: readers of different streams have nothing to do with each other, and
 * a shut window would stop them all.
 */
export function dropSlowest({ table, reports }: PausedStreams): void {
  let slowest: Paused | undefined;
  for (const stream of table.values()) {
    if (slowest === undefined || stream.input.waitingSince < slowest.input.waitingSince) slowest = stream;
  }
  if (slowest === undefined) return;
  reports.reached('maxHeldBytes');
  slowest.tooSlow = true;
  slowest.reset(ErrorCode.ENHANCE_YOUR_CALM);
}
