/**
 * `npm run mutate [part or mutation ...]`: are the tests of what is shared and remembered worth anything?
 * Breaks the program in a scratch copy, in one way after the other (`scripts/mutations/`), and runs the tests of the part
 * until one fails. A mutation that survives is a gap in the tests. Prints a line for each, the survivors once more at the
 * end, and ends with 1 when there are any. All of them take hours; arguments choose parts (`PARTS` in
 * `scripts/mutations/index.ts` has their names) or single mutations.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProcess, startProcess } from '../test/support/process.ts';
import { PARTS, type Part } from './mutations/index.ts';
import type { Mutation } from './mutations/mutation.ts';

const ROOT = join(import.meta.dirname, '..');
const COPIED = ['src', 'test', 'bench', 'scripts', 'bin', 'package.json', 'tsconfig.json', 'gen'];
/** Beyond this a test counts as failed: what waits for a lost event waits for long. */
const TEST_MS = 240_000;

/** What is broken may leave something that is not used any more. */
const TYPE_CHECK = [
  'node_modules/.bin/tsc',
  '-p',
  'tsconfig.json',
  '--noUnusedLocals',
  'false',
  '--noUnusedParameters',
  'false',
];

/** What a test says of a failure, before it is at its end. */
const FAILED = /^\s*✖ (.*)/;

/** A copy of the project in which files may be broken. */
async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mutants-'));
  for (const name of COPIED) await cp(join(ROOT, name), join(folder, name), { recursive: true });
  for (const name of ['node_modules', '.cache']) await symlink(join(ROOT, name), join(folder, name));
  return folder;
}

/** Breaks one file. @throws when the code is not there any more, or in several places */
async function mutate(folder: string, { file, from, to }: Mutation): Promise<() => Promise<void>> {
  const path = join(folder, 'src', file);
  const text = await readFile(path, 'utf8');
  const places = text.split(from).length - 1;
  if (places !== 1) throw new Error(`${file} has ${places} times: ${from}`);
  await writeFile(
    path,
    text.replace(from, () => to),
  );
  return () => writeFile(path, text);
}

/** Runs a test file until its first failure. @returns what failed, or nothing */
async function failure(folder: string, name: string): Promise<string | undefined> {
  const env = { MODEL_SHRINK_MS: '0', NODE_TEST_CONTEXT: undefined };
  const args = ['--test', `--test-timeout=${TEST_MS}`, `test/${name}.test.ts`];
  await using running = await startProcess(process.execPath, args, { cwd: folder, env });
  const ended = running.waitForExit(TEST_MS * 2).then(() => undefined);
  const failed = running.waitForLine(FAILED, TEST_MS * 2).catch(() => undefined);
  const line = await Promise.race([failed, ended]);
  if (line === undefined && running.exit?.code === 0) return undefined;
  return FAILED.exec(line ?? '')?.[1] ?? `ended with ${running.exit?.code}`;
}

/** The test that fails, of those of a part. */
async function killer(folder: string, tests: readonly string[]): Promise<string | undefined> {
  for (const command of [TYPE_CHECK, ['scripts/build.ts']]) {
    const { code, stdout, stderr } = await runProcess(process.execPath, command, {
      cwd: folder,
      limitMs: 120_000,
    });
    if (code !== 0) throw new Error(`a mutation that does not compile proves nothing: ${stdout}${stderr}`);
  }
  for (const name of tests) {
    const failed = await failure(folder, name);
    if (failed !== undefined) return `${name}: ${failed}`;
  }
  return undefined;
}

const wanted = process.argv.slice(2);
const chosen = Object.entries(PARTS).flatMap(([name, { tests, mutations }]: [string, Part]) =>
  mutations
    .filter((each) => wanted.length === 0 || wanted.includes(name) || wanted.includes(each.name))
    .map((each) => ({ mutation: each, tests })),
);
if (chosen.length === 0) throw new Error(`no mutation is called ${wanted.join(' or ')}`);
const folder = await scratch();
const survivors: string[] = [];
try {
  for (const { mutation, tests } of chosen) {
    const started = performance.now();
    const restore = await mutate(folder, mutation);
    const by = await killer(folder, tests);
    await restore();
    if (by === undefined) survivors.push(`${mutation.file}: ${mutation.name}`);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    const result = by === undefined ? 'SURVIVED' : 'killed';
    process.stdout.write(`${result} ${mutation.name} (${seconds} s): ${by ?? ''}\n`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.stdout.write(`${chosen.length - survivors.length} of ${chosen.length} killed\n`);
for (const survivor of survivors) process.stdout.write(`SURVIVED ${survivor}\n`);
process.exitCode = survivors.length === 0 ? 0 : 1;
