/** By what an endpoint is picked where several serve. */
import type { Candidate } from './candidate.ts';

/** At random, or the one whose answers to the question take least. */
export type EndpointPick = 'random' | 'nearest';

/** How often an endpoint is asked where times are compared; the shortest counts, since nothing makes an answer too early. */
export const QUESTIONS = 3;

/** Another endpoint is worth a move when it takes less than this share of the time, and less by so many milliseconds. */
const NEARER_SHARE = 0.7;
const NEARER_MS = 0.2;

/** The one that answers soonest. */
export function nearestOf(candidates: readonly Candidate[]): Candidate | undefined {
  const [nearest] = [...candidates].sort((a, b) => a.roundTripMs - b.roundTripMs);
  return nearest;
}

/** Whether an endpoint is so much nearer than another one that a move is worth it. */
export function isNearer(candidate: Candidate, than: Candidate): boolean {
  const [ms, other] = [candidate.roundTripMs, than.roundTripMs];
  return ms < other * NEARER_SHARE && ms < other - NEARER_MS;
}
