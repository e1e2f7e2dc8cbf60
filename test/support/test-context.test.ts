/** What `npm test` changes in the test runner: parts still belong to their tests, and no error gets lost. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Finished, runProcess, tempDir } from './process.ts';

const RUN_TESTS = join(import.meta.dirname, '..', '..', 'scripts', 'run-tests.ts');

const HEAD = `
  import assert from 'node:assert/strict';
  import { after, describe, test } from 'node:test';
  import { setTimeout as sleep } from 'node:timers/promises';`;

/** Runs a test file as `npm test` does; what it said of it, and what it wrote to its log. */
async function run(text: string): Promise<Finished & { log: string }> {
  const cwd = await tempDir('tests');
  await writeFile(join(cwd, 'some.test.mjs'), HEAD + text);
  const options = { cwd, env: { NODE_TEST_CONTEXT: undefined }, limitMs: 60_000 };
  const finished = await runProcess(process.execPath, [RUN_TESTS, 'some.test.mjs'], options);
  return { ...finished, log: await readFile(join(cwd, '.artifacts', 'tests.log'), 'utf8') };
}

/** A report without its times. */
const plain = (log: string): string => log.replaceAll(/ \([\d.]+ms\)/g, '');

describe('a test file of npm test', () => {
  test('has its tests in their suites, at once or later', async () => {
    const { code, stdout, log } = await run(`
      describe('outer', async () => {
        await sleep(1);
        describe('inner', () => test('first', async () => {
          await sleep(1);
          await test('part, after a while', async () => { await sleep(1); });
        }));
        test('second', (t) => t.test('part', () => sleep(1)));
      });
      describe('other', { concurrency: true }, () => {
        for (const name of ['a', 'b']) test(name, async () => { await sleep(5); await test('of ' + name, () => {}); });
      });`);
    assert.equal(code, 0, stdout);
    const tree = [
      '▶ outer',
      '  ▶ inner',
      '    ▶ first',
      '      ✔ part, after a while',
      '    ✔ first',
      '  ✔ inner',
      '  ▶ second',
      '    ✔ part',
      '  ✔ second',
      '✔ outer',
      '▶ other',
      '  ▶ a',
      '    ✔ of a',
      '  ✔ a',
      '  ▶ b',
      '    ✔ of b',
      '  ✔ b',
      '✔ other',
    ];
    assert.ok(plain(log).includes(tree.join('\n')), log);
  });

  for (const [way, text] of [
    ['thrown by a timer', "setTimeout(() => { throw new Error('lost?'); }, 1); await sleep(50);"],
    ['of a promise that nobody handles', "void Promise.reject(new Error('lost?')); await sleep(50);"],
    ['of one that is late', "void sleep(1).then(() => { throw new Error('lost?'); }); await sleep(50);"],
    ['that comes when its test is over', "setTimeout(() => { throw new Error('lost?'); }, 20);"],
  ] as const)
    test(`fails with an error ${way}`, async () => {
      const { code, stdout } = await run(`test('one', async () => { ${text} });`);
      assert.equal(code, 1, stdout);
      assert.match(stdout, /lost\?/);
    });

  test('fails with a test, at once or later, and with a hook', async () => {
    for (const text of [
      "test('one', () => assert.equal(1, 2));",
      "test('one', async () => { await sleep(1); assert.equal(1, 2); });",
      "describe('some', () => { after(() => assert.equal(1, 2)); test('one', () => {}); });",
    ]) {
      const { code, stdout } = await run(text);
      assert.equal(code, 1, `${text}\n${stdout}`);
    }
  });
});
