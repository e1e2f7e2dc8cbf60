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
  readonly receiver: { readonly holdsTooMuch: boolean };
}

/**
 * While more is kept than may be, the stream that has been paused for longest goes, however little is kept of it: readers of
 * different streams have nothing to do with each other, and a shut window would stop them all.
 */
export function dropSlowest({ table, reports, receiver }: PausedStreams): void {
  if (!receiver.holdsTooMuch) return;
  const paused = [...table.values()].filter(({ input }) => input.waitingSince < Number.POSITIVE_INFINITY);
  for (const stream of paused.sort((a, b) => a.input.waitingSince - b.input.waitingSince)) {
    reports.reached('maxHeldBytes');
    stream.tooSlow = true;
    stream.reset(ErrorCode.ENHANCE_YOUR_CALM);
    if (!receiver.holdsTooMuch) return;
  }
}
