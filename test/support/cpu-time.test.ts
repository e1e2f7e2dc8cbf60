/** CPU time of a program: its own, that of what has ended, and of what still runs when it ends. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { cpuSeconds, measuring } from '../../scripts/cpu-time.ts';
import { runProcess } from './process.ts';

const NOT_HERE = existsSync('/proc/self/task') ? false : 'only Linux has /proc';

/** Keeps a core busy until this process alone has had this much of it. */
const BURN = 'while (process.cpuUsage().user < 400_000);';

/** Runs it as test files are run; what it starts itself is started as it was. */
async function measured(name: string, program: string): Promise<number | undefined> {
  const first = `--import=data:text/javascript,${encodeURIComponent(measuring(name))}`;
  const { code, stderr } = await runProcess(process.execPath, [first, '-e', program], { limitMs: 60_000 });
  assert.equal(code, 0, stderr);
  return cpuSeconds(name);
}

describe('the CPU time of a program', { skip: NOT_HERE }, () => {
  test('has its own', async () => {
    const seconds = (await measured('own', BURN)) as number;
    assert.ok(seconds >= 0.4 && seconds < 5, `${seconds}`);
  });

  test('has that of programs that have ended and that still run, and only the program itself tells', async () => {
    const seconds = (await measured(
      'tree',
      `const { spawn, spawnSync } = require('node:child_process');
      const burn = ${JSON.stringify(BURN)};
      spawnSync(process.execPath, [...process.execArgv.slice(0, 1), '-e', burn]);
      const left = spawn(process.execPath, ['-e', burn + 'console.log("burnt"); setInterval(() => {}, 1000)']);
      left.stdout.once('data', () => {
        process.once('exit', () => left.kill('SIGKILL'));
        process.exit();
      });`,
    )) as number;
    assert.ok(seconds >= 0.8 && seconds < 8, `${seconds}`);
  });

  test('is not known of one that was killed, nor is that of the run before', async () => {
    await measured('killed', BURN);
    const first = `--import=data:text/javascript,${encodeURIComponent(measuring('killed'))}`;
    await runProcess(process.execPath, [first, '-e', 'process.kill(process.pid, "SIGKILL")']);
    assert.equal(cpuSeconds('killed'), undefined);
  });
});
