/** For the tests of the tests: a rule that is broken must be found out. */
import assert from 'node:assert/strict';

/** Whether a broken rule does harm is a matter of timing; so often it may have got away with it. */
const RUNS = 10;

/** Runs something that is wrong until a run finds the mistake. @param run says what it found */
export async function mustFind(run: () => Promise<readonly string[]>, mistake: RegExp): Promise<void> {
  const found: string[] = [];
  for (let i = 0; i < RUNS; i++) {
    found.push(...(await run()));
    if (found.some((what) => mistake.test(what))) return;
  }
  assert.fail(`not found in ${RUNS} runs: ${mistake}; but ${found.slice(0, 5).join('\n')}`);
}
