/**
 * The tests' own means are tested too: programs that are started, waited for and ended, ports, and waiting itself.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { returnPort, takePort } from './ports.ts';
import { runProcess, startProcess, tempDir } from './process.ts';
import { until } from './until.ts';

/** Waits until a process does nothing any more. */
async function ended(pid: number): Promise<void> {
  const state = (): Promise<string> => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => 'gone) Z');
  await until(`process ${pid} ends`, async () => /\) [ZX]/.test(await state()));
}

test('a program that ends tells its output and how it ended', async () => {
  const script = 'cat; echo "$GREETING" >&2; exit 3';
  const options = { input: 'in\n', env: { GREETING: 'hello', HOME: undefined } };
  const finished = await runProcess('sh', ['-c', script], options);
  assert.deepEqual(finished, { code: 3, signal: null, stdout: 'in\n', stderr: 'hello\n' });
});

test('bytes that are no text stay apart in latin1', async () => {
  const { stdout } = await runProcess('printf', ['\\377\\376'], { encoding: 'latin1' });
  assert.equal(stdout, '\u00ff\u00fe');
});

test('a program that does not exist is a result with the exit code of a shell', async () => {
  const { code, stderr } = await runProcess('no-such-program', []);
  assert.equal(code, 127);
  assert.match(stderr, /no-such-program/);
});

test('a folder that does not exist is an error', async () => {
  await assert.rejects(runProcess('true', [], { cwd: '/no/such/folder' }), /ENOENT/);
});

test('a program that takes too long is ended with all that it started, and the error shows its output', async () => {
  const script = 'sleep 60 & echo "$!"; wait';
  const running = await startProcess('sh', ['-c', script]);
  const child = Number(await running.waitForLine(/^\d+$/));
  await assert.rejects(running.waitForExit(50), new RegExp(`no end within 50 ms\n${child}`));
  await running.stop();
  await ended(child);
});

test('a program deaf to the polite signal is ended by force', async () => {
  const running = await startProcess('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 1; done']);
  await running.waitForLine(/ready/);
  assert.deepEqual(await running.stop('SIGTERM', 100), { code: null, signal: 'SIGKILL' });
  assert.equal(running.signal('SIGTERM'), false);
});

test('a program that is stopped stands still at once, with all of its threads', async () => {
  const script = `const work = 'for (;;) ;';
    for (let i = 0; i < 4; i++) new (require('node:worker_threads').Worker)(work, { eval: true });
    setTimeout(() => { console.log('ready'); for (;;) ; }, 100);`;
  await using running = await startProcess(process.execPath, ['-e', script]);
  await running.waitForLine(/ready/);
  running.signal('SIGSTOP');
  for (const thread of await readdir(`/proc/${running.pid}/task`))
    assert.match(await readFile(`/proc/${running.pid}/task/${thread}/stat`, 'latin1'), /\) T /);
  running.signal('SIGKILL');
  await running.waitForExit();
});

test('lines are waited for in their order, also the last one without an end', async () => {
  await using running = await startProcess('sh', ['-c', 'echo a1; echo b; echo a2; read x; printf "got $x"']);
  assert.equal(await running.waitForLine(/^a/), 'a1');
  assert.equal(await running.waitForLine(/^a/), 'a2');
  await assert.rejects(running.waitForLine(/^b/, 50), /within 50 ms/);
  running.write('it\n');
  assert.equal(await running.waitForLine(/^got/), 'got it');
  await assert.rejects(running.waitForLine(/more/), /it ended: {"code":0/);
});

test('of a long output the end is kept', async () => {
  const script = 'i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done';
  await using running = await startProcess('sh', ['-c', script], { keep: 100 });
  await running.waitForExit();
  assert.ok(running.stdout.length <= 70_000);
  assert.match(running.stdout, /line 1999\n$/);
});

test('a step of a longer run ends with the run, even where that is killed', async () => {
  const watchdog = pathToFileURL(join(import.meta.dirname, 'watchdog.ts'));
  const step = (script: string): string[] => [
    '-e',
    `import('${watchdog}').then(async ({ runGuarded }) => {
      process.exitCode = (await runGuarded('sh', ['-c', '${script}'])).code;
    })`,
  ];
  const { code, stdout } = await runProcess(process.execPath, step('echo done; exit 4'));
  assert.deepEqual([code, stdout], [4, 'done\n']);
  await using run = await startProcess(process.execPath, step('echo $$; exec sleep 60'));
  const pid = Number(await run.waitForLine(/^\d+$/));
  process.kill(run.pid, 'SIGKILL');
  await ended(pid);
});

test('ports are free and handed out once', async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, () => takePort()));
  assert.equal(new Set(ports).size, ports.length);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(ports[0], '127.0.0.1', resolve));
  await new Promise((resolve) => server.close(resolve));
  ports.forEach(returnPort);
});

test('temporary folders are fresh and named', async () => {
  const [one, two] = [await tempDir('some'), await tempDir('some')];
  assert.notEqual(one, two);
  assert.match(one, /\/some-\w+$/);
  assert.ok((await stat(two)).isDirectory());
});

test('what is waited for is asked for often at first and then less, and the limit tells how far it came', async () => {
  let asked = 0;
  await until('at once', () => ++asked === 10);
  asked = 0;
  const told = () => `the answer, after ${asked} questions`;
  await assert.rejects(
    until(
      told,
      () => {
        asked++;
        return false;
      },
      500,
    ),
    /not within 500 ms: the answer, after \d+ questions/,
  );
  // On a busy machine there may be no time for more than the first question and the last.
  assert.ok(asked >= 2 && asked < 80, `${asked} questions in half a second`);
});
