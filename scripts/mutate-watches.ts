/**
 * `node scripts/mutate-watches.ts [name ...]`: is the proof of the watch hub worth anything? Breaks the hub in a scratch
 * copy, in one way after the other (`scripts/watch-mutations.ts`), and runs the tests of watches until one fails. A
 * mutation that survives is a gap in the tests. Prints a line for each; ends with 1 when there are survivors.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProcess, startProcess } from '../test/support/process.ts';
import { MUTATIONS, type Mutation } from './watch-mutations.ts';

const ROOT = join(import.meta.dirname, '..');
const COPIED = ['src', 'test', 'scripts', 'bin', 'package.json', 'tsconfig.json', 'gen'];
/** In the order in which they are tried, the quick ones first. */
const TESTS = [
  'interval-tree',
  'batch',
  'history',
  'fragments',
  'requests',
  'versions',
  'turns',
  'probe',
  'subscribers',
  'progress-interval',
  'progress-questions',
  'pasts',
  'limits',
  'start',
  'metrics',
  'lifetimes',
  'progress',
  'incumbent',
  'compaction',
  'identities',
  'revoked',
  'leader',
  'reauthentication',
  'protocols',
  'scale',
  'model',
];
/** Beyond this a test counts as failed: what waits for a lost event waits for long. */
const TEST_MS = 240_000;

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
  const args = ['--test', `--test-timeout=${TEST_MS}`, `test/watch/${name}.test.ts`];
  await using running = await startProcess(process.execPath, args, { cwd: folder, env });
  const ended = running.waitForExit(TEST_MS * 2).then(() => undefined);
  const failed = running.waitForLine(FAILED, TEST_MS * 2).catch(() => undefined);
  const line = await Promise.race([failed, ended]);
  if (line === undefined && running.exit?.code === 0) return undefined;
  return FAILED.exec(line ?? '')?.[1] ?? `ended with ${running.exit?.code}`;
}

async function killer(folder: string): Promise<string | undefined> {
  for (const command of [['node_modules/.bin/tsc', '-p', 'tsconfig.json'], ['scripts/build.ts']]) {
    const { code, stdout, stderr } = await runProcess(process.execPath, command, {
      cwd: folder,
      limitMs: 120_000,
    });
    if (code !== 0) throw new Error(`a mutation that does not compile proves nothing: ${stdout}${stderr}`);
  }
  for (const name of TESTS) {
    const failed = await failure(folder, name);
    if (failed !== undefined) return `${name}: ${failed}`;
  }
  return undefined;
}

const wanted = process.argv.slice(2);
const folder = await scratch();
let survivors = 0;
try {
  for (const mutation of MUTATIONS) {
    if (wanted.length > 0 && !wanted.includes(mutation.name)) continue;
    const started = performance.now();
    const restore = await mutate(folder, mutation);
    const by = await killer(folder);
    await restore();
    if (by === undefined) survivors++;
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    process.stdout.write(
      `${by === undefined ? 'SURVIVED' : 'killed'} ${mutation.name} (${seconds} s): ${by ?? ''}\n`,
    );
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = survivors === 0 ? 0 : 1;
