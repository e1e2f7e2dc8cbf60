/** What is looked at in the connections in use. */
import type { Route } from './route.ts';

/** The connections, the one first on which no answer has come for longest. */
export function longUnheard(routes: readonly Route[]): Route[] {
  return [...routes].sort((a, b) => a.unanswered.takenIn - b.unanswered.takenIn);
}

/** Whether an answer is due there. */
export function waits({ unanswered }: Route): boolean {
  return unanswered.since < Number.POSITIVE_INFINITY;
}

/** Whether calls are open there that have no answer due. */
export function follows({ lasting }: Route): boolean {
  return lasting.size > 0;
}

/** Whether any call is open there. */
export function isBusy({ connection }: Route): boolean {
  return connection.openStreams > 0;
}
