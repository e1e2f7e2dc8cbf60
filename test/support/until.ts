/** Waiting for what no single event tells of: asked again and again until it holds, with a limit and a name. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Between two questions passes a tenth of what was waited for already: hardly a pause for what holds in a moment, and what
 * takes time is not asked for all the time, since a question may cost etcd its whole page of metrics.
 */
const PAUSE_SHARE = 0.1;
const SHORTEST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 100;

/** Only what hangs takes so long, on a busy machine too. */
const LIMIT_MS = 30_000;

/** What counts as an answer: anything but `false`, `null` and `undefined`. */
export type Answer<T> = NonNullable<Exclude<T, false>>;

/**
 * Asks until there is an answer, and returns it.
 * @param what what is waited for, in words, or a function that also tells how far it came
 * @throws when the limit is reached, with these words
 */
export async function until<T>(
  what: string | (() => string),
  ask: () => T | Promise<T>,
  limitMs = LIMIT_MS,
): Promise<Answer<T>> {
  const begin = performance.now();
  for (;;) {
    // What was asked before the limit and is answered behind it may say how it was before: it is asked once more.
    const isLast = performance.now() - begin > limitMs;
    const answer = await ask();
    if (answer !== undefined && answer !== null && answer !== false) return answer as Answer<T>;
    const waited = performance.now() - begin;
    if (isLast) throw new Error(`not within ${limitMs} ms: ${typeof what === 'string' ? what : what()}`);
    await sleep(Math.min(Math.max(waited * PAUSE_SHARE, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS));
  }
}
