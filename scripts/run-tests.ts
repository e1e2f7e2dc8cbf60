/**
 * `node scripts/run-tests.ts [--quick | --long | file ...]`: runs test files, those that mostly wait side by side, the others
 * alone or four at a time (`scripts/test-files.ts`). Prints a line for each file when it ends; then what was skipped and
 * why, the slowest files, and each failure again. Everything that the tests print is in `.artifacts/tests.log`.
 */
import { createWriteStream, globSync, mkdirSync } from 'node:fs';
import { relative } from 'node:path';
import { FileRun } from './file-run.ts';
import { inTurns } from './in-turns.ts';
import { longFiles, order, quickFiles, WIDTH, weightOf } from './test-files.ts';

const SLOWEST = 20;
const LOG = '.artifacts/tests.log';

const args = process.argv.slice(2);
const all = globSync('test/**/*.test.ts').sort();
const named = args.filter((arg) => !arg.startsWith('--'));
const files = named.length > 0 ? named : chosen();

mkdirSync('.artifacts', { recursive: true });
/** The files that an option stands for. */
function chosen(): string[] {
  if (args.includes('--quick')) return quickFiles(all);
  return args.includes('--long') ? longFiles(all) : all;
}

const log = createWriteStream(LOG);
const began = performance.now();
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
/** How long a file took, and how much of a core. */
const times = ({ ms, cpuSeconds: cpu }: FileRun): string =>
  `${seconds(ms).padStart(8)} ${(cpu === undefined ? '?' : `${cpu.toFixed(1)} s`).padStart(8)}`;
const print = (text: string): void => void process.stdout.write(`${text}\n`);

const done: FileRun[] = [];
await inTurns(order(files), WIDTH, weightOf, async (file) => {
  const run = await FileRun.of(file);
  done.push(run);
  log.write(`== ${file}\n${run.text}\n`);
  const skipped = run.skipped.length > 0 ? `, ${run.skipped.length} skipped` : '';
  const result = run.failures.length > 0 ? 'FAILED' : 'ok';
  print(`${result} ${times(run)}  ${file} (${run.passed} passed${skipped})`);
  for (const failure of run.failures) print(failure);
});
await new Promise((resolve) => log.end(resolve));

const reasons = Map.groupBy(
  done.flatMap(({ skipped }) => skipped),
  ({ why }) => why,
);
for (const [why, tests] of reasons) {
  const where = [...new Set(tests.map(({ file }) => relative('test', file)))].sort();
  print(`skipped ${tests.length}: ${why} (${where.join(', ')})`);
}

print('\nthe slowest files, and the CPU time of each with all that it started');
for (const run of done.toSorted((a, b) => b.ms - a.ms).slice(0, SLOWEST)) print(`${times(run)}  ${run.file}`);

const failed = done.filter(({ failures }) => failures.length > 0);
for (const { failures } of failed) for (const failure of failures) print(`\n${failure}`);
const sum = (of: (run: FileRun) => number): number => done.reduce((total, run) => total + of(run), 0);
const counts = [
  `${sum(({ passed }) => passed)} passed`,
  `${sum(({ failures }) => failures.length)} failed`,
  `${sum(({ skipped }) => skipped.length)} skipped`,
];
print(
  `\n${done.length} files, ${counts.join(', ')} in ${seconds(performance.now() - began)} (${seconds(sum(({ ms }) => ms))} one after the other, ${sum(({ cpuSeconds: cpu = 0 }) => cpu).toFixed(0)} s of CPU time); ${LOG}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
