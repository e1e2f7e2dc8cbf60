/** The program whose output nobody takes: it serves, stops when told, and counts the lines that are lost. */
import assert from 'node:assert/strict';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { metric } from '../support/metrics.ts';
import { returnPort, takePort } from '../support/ports.ts';
import { type Finished, type RunningProcess, runProcess, startProcess, tempDir } from '../support/process.ts';
import { until } from '../support/until.ts';
import { launcher, logOf } from './program/run.ts';

const LOST = 'etcd_proxy_log_lines_lost_total';

let folder: string;
before(async () => {
  folder = await tempDir('output');
});

/** Runs a command of the shell in which `$0` is the program. */
const shell = (command: string): Promise<Finished> => runProcess('/bin/sh', ['-c', command, launcher]);

/** Starts the proxy in a shell, which may set limits first, and waits until it serves. */
async function serving(
  redirection: string,
  use: (url: string, running: RunningProcess) => Promise<void>,
  prelude = ':',
): Promise<void> {
  const port = await takePort();
  const url = `http://127.0.0.1:${port}`;
  const start = `start --endpoints=127.0.0.1:1 --listen-addr=127.0.0.1:${port} ${redirection}`;
  await using running = await startProcess('/bin/sh', ['-c', `${prelude}; exec "$0" ${start}`, launcher]);
  try {
    await until('it serves', async () => {
      assert.equal(running.exit, undefined, running.stderr);
      return (await fetch(`${url}/proxy/metrics`).catch(() => undefined))?.ok;
    });
    await use(url, running);
    assert.equal(running.exit, undefined, 'it runs until it is told to stop');
    assert.deepEqual(await running.stop('SIGTERM', 20_000), { code: 0, signal: null });
  } finally {
    returnPort(port);
  }
}

/** Makes it log a line. */
const provoke = (running: RunningProcess): boolean => running.signal('SIGUSR2');

async function lossCounted(url: string, running: RunningProcess): Promise<void> {
  const before = await metric(url, LOST);
  provoke(running);
  await until('a lost line', async () => (await metric(url, LOST)) > before);
  assert.ok((await fetch(`${url}/proxy/metrics`)).ok);
}

async function makeFifo(name: string): Promise<string> {
  const path = join(folder, name);
  assert.equal((await runProcess('mkfifo', [path])).code, 0);
  return path;
}

const openReader = (path: string): number => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);

/** Fills a pipe, so that it takes not one byte more. */
function fill(path: string): number {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  for (const size of [65_536, 4096, 1]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, 'x'));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
  }
  return fd;
}

describe('the log', () => {
  test('the disk is full', () => serving('2>/dev/full', lossCounted));

  test('stderr is open for reading only', () => serving('2</dev/null', lossCounted));

  test('stderr is closed', () => serving('2>&-', async () => {}));

  test('the disk is full for a while', async () => {
    const path = join(folder, 'log');
    // A file may have one block; what Linux and the shell call a block differs, but it is less than the lines here.
    await serving(
      `2>>"${path}"`,
      async (url, running) => {
        await until('a full disk', async () => {
          provoke(running);
          return (await metric(url, LOST)) > 0;
        });
        await truncate(path);
        await until('the line that tells', async () => {
          provoke(running);
          return (await readFile(path, 'utf8')).includes('lines of this log were lost');
        });
      },
      'ulimit -f 2',
    );
    const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line.startsWith('{'));
    const told = logOf(`${lines.join('\n')}\n`).find(({ msg }) => msg === 'lines of this log were lost');
    assert.ok(Number(told?.lines) >= 1);
  });

  test('the reader of a pipe has gone, and comes back', async () => {
    const path = await makeFifo('reader');
    let reader = openReader(path);
    await serving(`2>"${path}"`, async (url, running) => {
      closeSync(reader);
      await lossCounted(url, running);
      reader = openReader(path);
      let text = '';
      await until('the line that tells', () => {
        provoke(running);
        text += readAll(reader);
        return text.includes('lines of this log were lost');
      });
    });
    closeSync(reader);
  });

  test('the reader of a pipe has stopped', async () => {
    const path = await makeFifo('stopped');
    const full = fill(path);
    await serving(`2>"${path}"`, async (url, running) => {
      provoke(running);
      assert.equal(await metric(url, LOST), 0, 'so few lines wait');
    });
    closeSync(full);
  });
});

describe('what goes wrong inside', () => {
  /** A module that Node.js loads before the program. */
  async function preloaded(text: string): Promise<string> {
    const path = join(await tempDir('preload'), 'preload.cjs');
    await writeFile(path, text);
    return `export NODE_OPTIONS='--require ${path}'`;
  }
  const FAULTS = 'etcd_proxy_faults_total';

  test('faults beside a full disk are counted and end nothing', async () => {
    const planted = await preloaded(
      // Not before the program runs: it ends by a fault while it starts, as it should.
      `const begin = () => {
        if (process.listenerCount('uncaughtException') === 0) return;
        clearInterval(waiting);
        setInterval(() => { throw Object.create(null); }, 20);
        setInterval(() => Promise.reject(0), 20);
      };
      const waiting = setInterval(begin, 20);`,
    );
    await serving(
      '2>/dev/full',
      async (url) => {
        await until('faults', async () => (await metric(url, FAULTS)) > 20);
        await until('a lost line', async () => (await metric(url, LOST)) > 0);
      },
      planted,
    );
  });

  test('warnings of Node.js are lines of the log', async () => {
    const path = join(folder, 'warnings');
    const planted = await preloaded("setInterval(() => process.emitWarning('planted', 'Planted'), 20);");
    await serving(
      `2>"${path}"`,
      async () => {
        await until('the line', async () => (await readFile(path, 'utf8')).includes('warning of Node.js'));
      },
      planted,
    );
    const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line.startsWith('{'));
    const warned = logOf(`${lines.join('\n')}\n`).filter(({ msg }) => msg === 'warning of Node.js');
    assert.deepEqual(
      warned.map(({ level, name, warning }) => [level, name, warning]),
      [['warn', 'Planted', 'planted']],
    );
  });
});

function readAll(fd: number): string {
  const buffer = Buffer.alloc(65_536);
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    return '';
  }
}

describe('what the program prints', () => {
  test('what was asked for and does not arrive is a failure', async () => {
    for (const argument of ['--help', '--version']) {
      const { code, stderr } = await shell(`exec "$0" ${argument} >/dev/full`);
      assert.deepEqual([code, stderr], [1, ''], argument);
    }
  });

  test('a reader that has seen enough of it', async () => {
    const { code, stdout, stderr } = await shell('{ "$0" --help; echo $? >&2; } | head -n 1');
    assert.equal(code, 0);
    assert.match(stdout, /^etcd-connect-proxy: [^\n]*\n$/);
    assert.match(stderr, /^[01]\n$/, 'no stack');
  });

  test('what is wrong with a command line ends it with 2, whoever reads', async () => {
    const full = fill(await makeFifo('usage'));
    for (const target of ['/dev/full', join(folder, 'usage')]) {
      const { code } = await shell(`exec "$0" start --no-such-flag 2>"${target}"`);
      assert.equal(code, 2, target);
    }
    closeSync(full);
  });

  test('a start that fails ends it with 1, whoever reads', async () => {
    const full = fill(await makeFifo('failure'));
    for (const target of ['/dev/full', join(folder, 'failure')]) {
      const { code } = await shell(`exec "$0" start --listen-addr=203.0.113.1:1 2>"${target}"`);
      assert.equal(code, 1, target);
    }
    closeSync(full);
  });
});
