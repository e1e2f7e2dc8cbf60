/** Signals while the program starts, and those that mean nothing to it. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type RunningProcess, startProcess, tempDir } from '../support/process.ts';
import { until } from '../support/until.ts';
import { toClients, usual } from '../tls/support.ts';
import { logOf, root, start, started } from './program/run.ts';

const SIGHUP_BIT = 1n;
const START = ['start', '--endpoints=127.0.0.1:1', '--listen-addr=127.0.0.1:0'];

/** Whether a process handles SIGHUP, which Node.js by itself does not. */
async function catchesSignals(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return (BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`) & SIGHUP_BIT) !== 0n;
}

/** A program that waits before it listens. */
interface Starting {
  readonly running: RunningProcess;
  /** Lets it go on. */
  goOn(): Promise<void>;
}

/** Starts it and returns when it catches signals. */
async function starting(flags: readonly string[] = []): Promise<Starting> {
  const folder = await tempDir('starting');
  const [preload, go] = [join(folder, 'preload.cjs'), join(folder, 'go')];
  await writeFile(
    preload,
    `const { Server } = require('node:net');
    const { listen } = Server.prototype;
    Server.prototype.listen = function (...args) {
      const waiting = setInterval(() => {
        if (!require('node:fs').existsSync('${go}')) return;
        clearInterval(waiting);
        listen.apply(this, args);
      }, 20);
      return this;
    };`,
  );
  const running = await start([...START, ...flags], { NODE_OPTIONS: `--require ${preload}` });
  await until('handlers of signals', () => catchesSignals(running.pid));
  return { running, goOn: () => writeFile(go, '') };
}

describe('while the program starts', { skip: process.platform !== 'linux' && 'needs /proc' }, () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} ends it with 0`, async () => {
      await using running = (await starting()).running;
      running.signal(signal);
      assert.deepEqual(await running.waitForExit(30_000), { code: 0, signal: null });
    });
  }

  test('SIGHUP is done when it runs', async () => {
    const { running: program, goOn } = await starting(toClients(await usual()));
    await using running = program;
    running.signal('SIGHUP');
    await goOn();
    await started(running);
    await running.waitForLine(/"reloaded the TLS files"/);
    assert.deepEqual(await running.stop('SIGTERM', 30_000), { code: 0, signal: null });
  });

  test('SIGUSR1 and SIGUSR2 do not stop it', async () => {
    const { running: program, goOn } = await starting();
    await using running = program;
    running.signal('SIGUSR1');
    running.signal('SIGUSR2');
    await goOn();
    await started(running);
    assert.deepEqual(await running.stop('SIGTERM', 30_000), { code: 0, signal: null });
    assert.doesNotMatch(running.stderr, /Debugger/);
  });
});

describe('signals that mean nothing', () => {
  test('are said to be ignored, and open no port for a debugger', async () => {
    await using running = await start(START);
    await started(running);
    for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const) running.signal(signal);
    await running.waitForLine(/"SIGUSR2".*signal ignored/);
    assert.deepEqual(await running.stop('SIGTERM', 30_000), { code: 0, signal: null });
    // Every line is one of the log: nothing of a debugger. SIGUSR1 does not even reach the program.
    const ignored = logOf(running.stderr).filter(({ msg }) => msg.startsWith('signal ignored'));
    assert.deepEqual(
      ignored.map(({ signal }) => signal),
      ['SIGUSR2'],
    );
  });

  test('nor does SIGUSR1 where Node.js has no option against the debugger', async () => {
    await using running = await startProcess(process.execPath, [join(root, 'dist', 'main.js'), ...START]);
    await started(running);
    running.signal('SIGUSR1');
    await running.waitForLine(/"SIGUSR1".*signal ignored/);
    assert.doesNotMatch(running.stderr, /Debugger/);
  });

  test('a debugger that is asked for is there', async () => {
    await using running = await start(START, { NODE_OPTIONS: '--inspect=127.0.0.1:0' });
    await running.waitForLine(/Debugger listening on ws:\/\/127\.0\.0\.1:\d+/, 30_000);
    await running.waitForLine(/"started gRPC proxy"/, 30_000);
  });
});
