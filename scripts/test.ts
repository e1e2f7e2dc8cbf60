/**
 * `npm test`: everything that must hold, in the order in which it fails fastest. Each step is a command of its
 * own that can be run alone; the first one that fails ends the run. A run that is interrupted leaves nothing behind.
 */
import { availableParallelism } from 'node:os';
import { runGuarded } from '../test/support/process.ts';

/** Test files at a time. Each runs a cluster, a proxy and clients of its own, which keep two cores busy. */
const CONCURRENCY = Math.max(1, Math.floor(availableParallelism() / 2));

/** The steps, by what they prove. */
const STEPS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['lint and format', 'biome', 'ci', '.'],
  ['lint the protobuf files', 'buf', 'lint'],
  ['type check', 'tsc', '-p', 'tsconfig.json'],
  ['build', 'tsc', '-p', 'tsconfig.build.json'],
  ['get etcd', 'node', 'scripts/etcd/fetch.ts'],
  [
    'tests',
    'node',
    '--test',
    `--test-concurrency=${CONCURRENCY}`,
    '--test-timeout=600000',
    'test/**/*.test.ts',
  ],
];

for (const [name, command, ...args] of STEPS) {
  const started = performance.now();
  process.stdout.write(`\n== ${name}: ${command} ${args.join(' ')}\n`);
  const { code, signal } = await runGuarded(command, args);
  process.stdout.write(`== ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
  if (code !== 0) {
    process.stderr.write(`== ${name} failed (${signal ?? `exit code ${code}`})\n`);
    process.exit(1);
  }
}
