/**
 * `npm test`: everything that must hold, in the order in which it fails fastest. What takes long has a short form here,
 * and all of its time in `npm run test:long`. Arguments are test files, where only some shall run.
 */
import { BEFORE_TESTS, runSteps } from './steps.ts';

await runSteps([...BEFORE_TESTS, ['tests', 'node', 'scripts/run-tests.ts', ...process.argv.slice(2)]]);
