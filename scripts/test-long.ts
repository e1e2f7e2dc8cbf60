/**
 * `npm run test:long`: what takes too long for every run of `npm test`, which has a short form of each. With `LONG=1`
 * the tests themselves know that there is time.
 */
import { runSteps } from './steps.ts';

process.env.LONG = '1';

await runSteps([
  ['get etcd', 'node', 'scripts/etcd/fetch.ts'],
  [
    'all attacks at once; failing members and long suites on every release',
    'node',
    'scripts/run-tests.ts',
    '--long',
  ],
]);
