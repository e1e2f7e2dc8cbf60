/** The command line: what the program prints, what it refuses, and under which Node.js the launcher runs it. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { FLAGS } from '../../src/config/flags.ts';
import { runProcess, tempDir } from '../support/process.ts';
import { copyTo, launcher, logOf, root, run, start, started } from './program/run.ts';

/** Nobody listens there; the proxy does not mind. */
const NOWHERE = '--endpoints=127.0.0.1:1';
const ANY_PORT = '--listen-addr=127.0.0.1:0';

/** Exit code 2 and one line on stderr that names what is wrong. */
async function refused(args: readonly string[], named: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const { code, stdout, stderr } = await run(args, { env });
  assert.deepEqual([code, stdout], [2, ''], `${args.join(' ')}: ${stderr}`);
  assert.match(stderr, /^etcd-connect-proxy: [^\n]+\n$/);
  assert.ok(stderr.includes(named), `${stderr} does not name ${named}`);
}

/** A value for a flag that is not its default. */
const OTHER: Readonly<Record<string, string>> = {
  boolean: 'true',
  duration: '7s',
  integer: '7',
  bytes: '7',
  list: 'some',
  string: 'some',
};

describe('command line', () => {
  test('--version', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    const { code, stdout, stderr } = await run(['--version']);
    assert.deepEqual([code, stdout, stderr], [0, `etcd-connect-proxy ${version}\n`, '']);
  });

  test('--help names every flag', async () => {
    for (const args of [['--help'], ['start', '--help'], ['grpc-proxy', 'start', '-h']]) {
      const { code, stdout, stderr } = await run(args);
      assert.deepEqual([code, stderr], [0, '']);
      for (const { name } of FLAGS) assert.ok(stdout.includes(`--${name} `), name);
    }
  });

  test('what it does not understand', async () => {
    await refused([], 'start');
    await refused(['stop'], 'stop');
    await refused(['grpc-proxy', 'stop'], 'stop');
    await refused(['start', '--no-such-flag'], '--no-such-flag');
    await refused(['start', '--no-such-flag=1'], '--no-such-flag');
    await refused(['start', 'stray'], 'stray');
    await refused(['start', '--endpoints'], '--endpoints');
  });

  test('bad values', async () => {
    for (const [name, value] of [
      ['dial-timeout', 'soon'],
      ['max-send-bytes', '-1'],
      ['max-recv-bytes', '1.5'],
      ['max-concurrent-streams', 'many'],
      ['debug', 'maybe'],
      ['log-level', 'loud'],
      ['listen-addr', '127.0.0.1:99999'],
      ['endpoints', ''],
      ['endpoints', 'ftp://a:1'],
    ]) {
      await refused(['start', `--${name}=${value}`], `--${name}`);
    }
    await refused(['start'], 'ETCD_PROXY_DIAL_TIMEOUT', { ETCD_PROXY_DIAL_TIMEOUT: 'soon' });
    await refused(['start'], 'ETCD_PROXY_MAX_SEND_BYTES', { ETCD_PROXY_MAX_SEND_BYTES: 'x' });
  });

  test('TLS to clients without a certificate refuses to start', async () => {
    await refused(['start', NOWHERE, '--listen-addr=https://127.0.0.1:0'], '--listen-addr');
  });

  test('flags without an effect yet say so, once each', async () => {
    const ignored = FLAGS.filter(({ pending }) => pending === 'ignored');
    const args = ignored.map(({ name, type }) => `--${name}=${OTHER[type]}`);
    await using running = await start(['start', NOWHERE, ANY_PORT, ...args]);
    await started(running);
    const lines = logOf(running.stderr).filter(({ msg }) => msg === 'flag has no effect yet');
    assert.deepEqual(lines.map(({ flag }) => flag).sort(), ignored.map(({ name }) => name).sort());
  });

  test('flags that only narrow down TLS say so without it, once each, and it starts', async () => {
    const flags = {
      'client-crl-file': '/absent',
      'listen-cipher-suites': 'TLS_RSA_WITH_AES_128_CBC_SHA',
      'tls-min-version': 'TLS1.3',
      'tls-max-version': 'TLS1.3',
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    await using running = await start(['start', NOWHERE, ANY_PORT, ...args]);
    await started(running);
    const warned = logOf(running.stderr).filter(({ msg }) => msg === 'flag has no effect');
    assert.deepEqual(
      warned.map(({ level, flag }) => [level, flag]),
      Object.keys(flags).map((name) => ['warn', name]),
    );
  });

  test('environment variables, and flags that win over them', async () => {
    const ETCD_PROXY_ENDPOINTS = '127.0.0.1:1';
    await using byEnvironment = await start(['start'], {
      ETCD_PROXY_ENDPOINTS,
      ETCD_PROXY_LISTEN_ADDR: '127.0.0.1:0',
      ETCD_PROXY_LISTEN_ADR: 'not shown',
    });
    assert.match(await started(byEnvironment), /^127\.0\.0\.1:[1-9]\d*$/);
    const unknown = logOf(byEnvironment.stderr).filter(({ variables }) => variables !== undefined);
    assert.deepEqual(
      unknown.map(({ level, variables }) => [level, variables]),
      [['warn', ['ETCD_PROXY_LISTEN_ADR']]],
    );
    assert.ok(!byEnvironment.stderr.includes('not shown'));
    await using byFlag = await start(['start', ANY_PORT], {
      ETCD_PROXY_ENDPOINTS,
      ETCD_PROXY_LISTEN_ADDR: '203.0.113.1:1',
    });
    assert.match(await started(byFlag), /^127\.0\.0\.1:[1-9]\d*$/);
  });

  test('grpc-proxy start is start', async () => {
    await using running = await start(['grpc-proxy', 'start', '--endpoints', '127.0.0.1:1', ANY_PORT]);
    assert.match(await started(running), /^127\.0\.0\.1:[1-9]\d*$/);
  });

  test('an address in use', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    try {
      const { code, stderr } = await run(['start', NOWHERE, `--listen-addr=127.0.0.1:${port}`]);
      assert.equal(code, 1, stderr);
      const [line, ...more] = logOf(stderr);
      assert.deepEqual(more, []);
      assert.equal(line?.error, `--listen-addr: 127.0.0.1:${port} is in use (EADDRINUSE)`);
    } finally {
      server.close();
    }
  });
});

/** Versions of Node.js that lack something the proxy needs. */
const OLD = ['v20.20.2', 'v22.17.1', 'v23.9.0'] as const;

describe('launcher', () => {
  const path = process.env.PATH ?? '';
  let folder: string;
  before(async () => {
    folder = await tempDir('launcher');
    for (const version of OLD) {
      await mkdir(join(folder, version));
      const old = join(folder, version, 'node');
      await writeFile(old, `#!/bin/sh\n[ "$1" = --version ] && echo ${version} && exit 0\nexit 42\n`);
      await chmod(old, 0o755);
    }
  });

  test('from another folder', async () => {
    assert.equal((await run(['--version'], { cwd: tmpdir() })).code, 0);
  });

  test('through symbolic links', async () => {
    await symlink(launcher, join(folder, 'absolute'));
    await symlink('absolute', join(folder, 'relative'));
    for (const link of ['absolute', 'relative']) {
      const { code, stdout } = await runProcess(join(folder, link), ['--version'], { cwd: tmpdir() });
      assert.equal(code, 0);
      assert.match(stdout, /^etcd-connect-proxy /);
    }
  });

  const names = readdirSync(join(root, 'node_modules'));
  const skip = !names.some((name) => /^node-[a-z]+-/.test(name)) && 'no Node.js comes with the dependencies';
  test('with an old Node.js on PATH it takes the one of its dependencies', { skip }, async () => {
    for (const first of [...OLD.map((version) => join(folder, version)), '/usr/bin']) {
      const { code, stdout, stderr } = await run(['--version'], { env: { PATH: `${first}:/usr/bin:/bin` } });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^etcd-connect-proxy /);
    }
  });

  test('without a build or a new enough Node.js it says what to do', async () => {
    const copy = join(folder, 'copy');
    await mkdir(join(copy, 'bin'), { recursive: true });
    await cp(launcher, join(copy, 'bin', 'etcd-connect-proxy'));
    const runCopy = () =>
      runProcess(join(copy, 'bin', 'etcd-connect-proxy'), ['--version'], {
        env: { PATH: `${join(folder, OLD[0])}:${path}` },
      });
    const unbuilt = await runCopy();
    assert.deepEqual([unbuilt.code, unbuilt.stdout], [1, '']);
    assert.match(unbuilt.stderr, /^etcd-connect-proxy: not built yet: [^\n]+\n$/);
    await mkdir(join(copy, 'dist'));
    await writeFile(join(copy, 'dist', 'main.js'), '');
    const without = await runCopy();
    assert.deepEqual([without.code, without.stdout], [1, '']);
    assert.match(without.stderr, /^etcd-connect-proxy: needs Node\.js 22\.18 or newer: [^\n]+\n$/);
  });

  test('a copy in another folder uses the compile cache of the build, and does without where there can be none', async () => {
    const copy = join(folder, 'built');
    const launcherThere = await copyTo(copy);
    const cache = join(copy, 'dist', 'compile-cache');
    const cached = (): string[] => readdirSync(cache, { recursive: true, encoding: 'utf8' }).sort();
    const runCopy = () => runProcess(launcherThere, ['--version']);
    const before = cached();
    assert.ok(before.length > 10, 'the build made a cache');
    assert.equal((await runCopy()).code, 0);
    assert.deepEqual(cached(), before, 'nothing had to be compiled');
    await rm(cache, { recursive: true });
    await writeFile(cache, 'no folder');
    const { code, stdout, stderr } = await runCopy();
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^etcd-connect-proxy /);
  });
});
