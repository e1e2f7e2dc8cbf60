/**
 * `npm run test:long`: what takes too long for every run of `npm test`, which has a short form of each. With `LONG=1`
 * the tests themselves know that there is time.
 */
import { runSteps, type Step } from './steps.ts';

process.env.LONG = '1';

/** One file at a time, and time for each. */
const tests = (name: string, limitMs: number, files: string): Step => [
  name,
  'node',
  '--test',
  '--test-concurrency=1',
  `--test-timeout=${limitMs}`,
  files,
];

await runSteps([
  ['get etcd', 'node', 'scripts/etcd/fetch.ts'],
  tests('all attacks at once', 1_800_000, 'test/long/**/*.test.ts'),
  tests('failing members, every release', 1_800_000, 'test/failing/**/*.test.ts'),
]);
