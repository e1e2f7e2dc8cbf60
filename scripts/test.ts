/**
 * `npm test`: everything that must hold, in the order in which it fails fastest. What takes long has a short form here,
 * and all of its time in `npm run test:long`.
 */
import { availableParallelism } from 'node:os';
import { runSteps } from './steps.ts';

/** Test files at a time. Each runs a cluster, a proxy and clients of its own, which keep two cores busy. */
const CONCURRENCY = Math.max(1, Math.floor(availableParallelism() / 2));

await runSteps([
  ['lint and format', 'biome', 'ci', '.'],
  ['lint the protobuf files', 'buf', 'lint'],
  ['type check', 'tsc', '-p', 'tsconfig.json'],
  ['build', 'node', 'scripts/build.ts'],
  ['get etcd', 'node', 'scripts/etcd/fetch.ts'],
  [
    'tests',
    'node',
    '--test',
    `--test-concurrency=${CONCURRENCY}`,
    '--test-timeout=600000',
    'test/**/*.test.ts',
  ],
]);
