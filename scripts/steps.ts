/** Commands that are run one after the other, each with its time; the first one that fails ends the run. */
import { runGuarded } from '../test/support/process.ts';

/** What it proves, and a command that can be run alone. */
export type Step = readonly [name: string, command: string, ...args: string[]];

/** What needs no test to be seen, in the order in which it fails fastest, and what tests need. */
export const BEFORE_TESTS: readonly Step[] = [
  ['lint and format', 'biome', 'ci', '.'],
  ['lint the protobuf files', 'buf', 'lint'],
  ['type check', 'tsc', '-p', 'tsconfig.json'],
  ['build', 'node', 'scripts/build.ts'],
  ['get etcd', 'node', 'scripts/etcd/fetch.ts'],
];

/** Runs them. A run that is interrupted leaves nothing behind. */
export async function runSteps(steps: readonly Step[]): Promise<void> {
  for (const [name, command, ...args] of steps) {
    const started = performance.now();
    process.stdout.write(`\n== ${name}: ${command} ${args.join(' ')}\n`);
    const { code, signal } = await runGuarded(command, args);
    process.stdout.write(`== ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
    if (code !== 0) {
      process.stderr.write(`== ${name} failed (${signal ?? `exit code ${code}`})\n`);
      process.exit(1);
    }
  }
}
