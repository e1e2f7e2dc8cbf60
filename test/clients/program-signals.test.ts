/** Signals while the program starts, and those that mean nothing to it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type RunningProcess, startProcess } from '../support/process.ts';
import { toClients, usual } from '../tls/support.ts';
import { logOf, root, start, started } from './program/run.ts';
import { until } from './wait.ts';

const SIGHUP_BIT = 1n;
const START = ['start', '--endpoints=127.0.0.1:1', '--listen-addr=127.0.0.1:0'];

/** Whether a process handles SIGHUP, which Node.js by itself does not. */
async function catchesSignals(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return (BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`) & SIGHUP_BIT) !== 0n;
}

/** Starts it and returns when it catches signals, which is long before it serves. */
async function starting(flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<RunningProcess> {
  const running = await start([...START, ...flags], env);
  await until('handlers of signals', () => catchesSignals(running.pid));
  assert.doesNotMatch(running.stderr, /listening for gRPC/, 'it serves already');
  return running;
}

describe('while the program starts', { skip: process.platform !== 'linux' && 'needs /proc' }, () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} ends it with 0`, async () => {
      await using running = await starting();
      running.signal(signal);
      assert.deepEqual(await running.waitForExit(30_000), { code: 0, signal: null });
    });
  }

  test('SIGHUP is done when it runs', async () => {
    await using running = await starting(toClients(await usual()));
    running.signal('SIGHUP');
    running.signal('SIGHUP');
    await started(running);
    await running.waitForLine(/"reloaded the TLS files"/);
    assert.deepEqual(await running.stop('SIGTERM', 30_000), { code: 0, signal: null });
    assert.equal(logOf(running.stderr).filter(({ msg }) => msg === 'reloaded the TLS files').length, 1);
  });

  test('SIGUSR1 and SIGUSR2 do not stop it', async () => {
    await using running = await starting();
    running.signal('SIGUSR1');
    running.signal('SIGUSR2');
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
