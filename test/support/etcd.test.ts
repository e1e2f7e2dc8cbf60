/**
 * The tests' own etcds are tested too: every release at hand starts, a cluster survives what a test does to its
 * members, and nothing of them stays, even where the test run is interrupted.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { availableEtcds, etcdctl, startEtcd, startEtcdctl } from './etcd.ts';
import { runProcess, startProcess, tempDir } from './process.ts';
import { until } from './until.ts';

/** Whether a process exists that still does something. */
async function lives(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => 'gone) Z');
  return !/\) [ZX]/.test(state);
}

const etcds = await availableEtcds();

test('the etcds at hand are one of each release line, the newest last', () => {
  const order = etcds.map(({ major, minor }) => major * 1_000 + minor);
  assert.deepEqual(
    order,
    [...new Set(order)].sort((a, b) => a - b),
  );
});

for (const install of etcds) {
  test(`etcd ${install.version} is what it says, and serves a port and a unix socket`, async () => {
    assert.match((await runProcess(install.etcd, ['--version'])).stdout, new RegExp(install.version));
    await using cluster = await startEtcd({
      install,
      unixSocket: true,
      authToken: 'simple',
      authTokenTtlSeconds: 60,
      bcryptCost: 4,
      watchProgressIntervalMs: 200,
    });
    assert.equal((await cluster.etcdctl(['put', 'key', 'value'])).stdout, 'OK\n');
    const read = await etcdctl(install, `unix://${cluster.first.unixSocket}`, ['get', 'key']);
    assert.equal(read.stdout, 'key\nvalue\n', read.stderr);
    await using watch = await startEtcdctl(install, cluster.endpoints, ['watch', '', '--prefix', '--rev=1']);
    await watch.waitForLine(/^value$/);
    await cluster.first.kill();
    await cluster.first.start();
    assert.equal((await cluster.etcdctl(['get', 'key'])).stdout, 'key\nvalue\n');
  });
}

test('a paused etcd answers nothing until it goes on', async () => {
  await using cluster = await startEtcd();
  cluster.first.pause();
  const failed = await cluster.etcdctl(['put', 'key', 'value', '--command-timeout=300ms']);
  assert.notEqual(failed.code, 0);
  cluster.first.resume();
  await cluster.waitHealthy();
  assert.equal((await cluster.etcdctl(['put', 'key', 'value'])).code, 0);
});

test('a cluster of three goes on without one, not without two, and heals', async () => {
  await using cluster = await startEtcd({ members: 3 });
  const put = ['put', 'key', 'value'];
  await cluster.member(0).kill();
  const two = cluster.endpoints.slice(1);
  await until('a leader of two', async () => (await etcdctl(cluster.install, two, put)).code === 0);
  await cluster.member(1).kill();
  const alone = await etcdctl(cluster.install, cluster.endpoints, [...put, '--command-timeout=500ms']);
  assert.notEqual(alone.code, 0);
  await Promise.all([cluster.member(0).start(), cluster.member(1).restart()]);
  await cluster.waitHealthy();
  for (const member of cluster.members)
    await until(`${member.name} answers`, async () => {
      const { stdout } = await etcdctl(cluster.install, member.address, ['get', 'key']);
      return stdout === 'key\nvalue\n';
    });
});

test('a port that something else holds is noticed, and tried again when a member comes back', async () => {
  await using cluster = await startEtcd();
  await cluster.first.kill();
  const other = createServer();
  const port = Number(cluster.first.address.split(':')[1]);
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  await cluster.first.launch();
  await assert.rejects(cluster.first.waitHealthy(), /a port is in use/);
  setTimeout(() => other.close(), 300);
  await cluster.first.start();
});

test('an etcd that cannot start fails with its own words', async () => {
  await assert.rejects(startEtcd({ args: ['--no-such-flag'] }), /no-such-flag/);
});

test('a stopped cluster leaves neither processes nor data', async () => {
  const cluster = await startEtcd({ members: 3 });
  const { pid, folder } = cluster.first;
  assert.ok(pid !== undefined && (await lives(pid)) && existsSync(folder));
  await cluster.stop();
  assert.ok(!(await lives(pid)) && !existsSync(folder));
  await cluster.stop();
});

interface Seen {
  readonly self: number;
  readonly etcd: number;
  readonly folder: string;
}

/** Runs a test file that starts an etcd and never ends, interrupts it, and waits until nothing of it is left. */
async function interrupt(how: (runner: number, self: number) => void, then = 'await new Promise(() => {})') {
  const folder = await tempDir('interrupted');
  const report = join(folder, 'report.json');
  const file = join(folder, 'fixture.test.ts');
  const lines = [
    `import { renameSync, writeFileSync } from 'node:fs';`,
    `import { test } from 'node:test';`,
    `import { startEtcd } from '${pathToFileURL(join(import.meta.dirname, 'etcd.ts'))}';`,
    `test('never ends', async () => {`,
    `  const { pid: etcd, folder } = (await startEtcd()).first;`,
    `  writeFileSync('${report}.new', JSON.stringify({ self: process.pid, etcd, folder }));`,
    `  renameSync('${report}.new', '${report}');`,
    `  setInterval(() => {}, 1000);`,
    `  ${then};`,
    `});`,
  ];
  await writeFile(file, lines.join('\n'));
  const env = { NODE_TEST_CONTEXT: undefined };
  await using runner = await startProcess(process.execPath, ['--test', file], { env });
  await until('started', () => existsSync(report) || runner.exit !== undefined);
  assert.ok(existsSync(report), runner.stdout + runner.stderr);
  const seen = JSON.parse(await readFile(report, 'utf8')) as Seen;
  how(runner.pid, seen.self);
  await until('the end of etcd', async () => !(await lives(seen.etcd)));
  await until('the end of the test file', async () => !(await lives(seen.self)));
  await until('the end of the data', () => !existsSync(join(seen.folder, '..', '..')));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
  test(`a test runner ended by ${signal} leaves nothing`, () =>
    interrupt((runner) => process.kill(runner, signal)));
}

test('a test file ended by SIGKILL leaves nothing', () =>
  interrupt((_runner, self) => process.kill(self, 'SIGKILL')));

test('a test file that crashes leaves nothing', () =>
  interrupt(() => {}, `setTimeout(() => process.abort(), 100); await new Promise(() => {})`));

test('a test file that exits at once leaves nothing', () => interrupt(() => {}, 'process.exit(7)'));
