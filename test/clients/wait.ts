/**
 * Waiting for conditions that no single event tells of: asked again and again until they hold, with a limit that
 * only a hang reaches.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until the answer is something, and returns it. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  limitMs = 30_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== null && answer !== false)
      return answer as NonNullable<Exclude<T, false>>;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limitMs} ms`);
    await sleep(25);
  }
}
