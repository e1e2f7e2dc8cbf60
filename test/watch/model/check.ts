/** Checks a property; when it fails, looks for a shorter run that fails as well, for a while, on a fresh proxy each time. */
import fc from 'fast-check';

/** What to check, and how. */
export interface Check<T> {
  readonly arbitrary: fc.Arbitrary<T>;
  /** Does one case; rejects when something is wrong. */
  readonly run: (value: T) => Promise<void>;
  /** Puts everything right after a failure. */
  readonly renew: () => Promise<void>;
  readonly runs: number;
  readonly seed: number;
  /** For how long it may look for a shorter failure, in milliseconds; zero: it does not. */
  readonly shrinkMs: number;
}

/** @throws an Error with the shortest failure found, and what was wrong at first and then */
export async function check<T>({ arbitrary, run, renew, runs, seed, shrinkMs }: Check<T>): Promise<void> {
  const property = fc.asyncProperty(arbitrary, async (value) => {
    try {
      await run(value);
    } catch (error) {
      await renew();
      throw error;
    }
  });
  const first = await fc.check(property, { numRuns: runs, seed, endOnFailure: true });
  if (!first.failed) return;
  let text = describe(first);
  if (shrinkMs > 0) {
    const path = first.counterexamplePath ?? '';
    const shorter = await fc.check(property, { seed, path, interruptAfterTimeLimit: shrinkMs });
    text += shorter.failed ? `\nshorter: ${describe(shorter)}` : '\nit did not fail when it was repeated';
  }
  throw new Error(text);
}

function describe<T>({ errorInstance, counterexample, numShrinks }: fc.RunDetails<[T]>): string {
  return `${String(errorInstance)}\nafter ${numShrinks} steps: ${JSON.stringify(counterexample)}`;
}
