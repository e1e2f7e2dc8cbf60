/** `npm run test:quick`: of `npm test` what needs no more than one etcd and is soon done, for every change. */
import { BEFORE_TESTS, runSteps } from './steps.ts';

await runSteps([...BEFORE_TESTS, ['quick tests', 'node', 'scripts/run-tests.ts', '--quick']]);
