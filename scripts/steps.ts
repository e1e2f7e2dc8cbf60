/** Commands that are run one after the other, each with its time; the first one that fails ends the run. */
import { runGuarded } from '../test/support/process.ts';

/** What it proves, and a command that can be run alone. */
export type Step = readonly [name: string, command: string, ...args: string[]];

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
